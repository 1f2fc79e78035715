package participant_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/participant"
)

// A saga that has no reply asks again with a new message: the same event is its answer, whatever
// else is in the batch.
func TestParticipant_TheSameAnswerAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	p := hotel(t, db.Pool, step())
	first := command("ReserveRoom", "17", body(7, false))
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{first, command("ReserveRoom", "18", body(8, false)), command("ReserveRoom", "17", body(9, false))}))
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{command("ReserveRoom", "17", body(9, false)), first}), "and one that is redelivered")

	got := answers(t, db.Pool, "17")
	require.Equal(t, []string{"RoomReserved", "RoomReserved again", "RoomReserved again"}, types(got))
	for _, a := range got {
		require.Equal(t, got[0].EventID, a.EventID)
		require.JSONEq(t, `{"number":7}`, a.Body, "what was done, not what is asked now")
	}
	require.Equal(t, []string{"reserve"}, effects(t, db.Pool, "17"))
}

func TestParticipant_AnUndoThatComesFirstRefusesTheCommand(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	p := hotel(t, db.Pool, step())
	for _, kind := range []string{"ReleaseRoom", "ReserveRoom", "ReserveRoom", "ReleaseRoom"} {
		require.NoError(t, p.Process(t.Context(), []inbox.Delivery{command(kind, "17", body(7, false))}))
	}
	require.Equal(t, []string{"RoomReleased", "RoomRefused", "RoomRefused again", "RoomReleased again"}, types(answers(t, db.Pool, "17")))
	require.Empty(t, effects(t, db.Pool, "17"))
}

// A handler may find out by a statement that fails. What it did is gone, and the rest of the batch
// is not.
func TestParticipant_ARefusalLeavesNothingBehindAlsoAfterAFailedStatement(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	_, err := db.Pool.Exec(t.Context(), `create table rooms (number int primary key)`)
	require.NoError(t, err)
	s := step()
	s.Do = participant.Handle("ReserveRoom", func(ctx context.Context, tx pgx.Tx, c participant.Command[room]) (room, error) {
		if _, err := tx.Exec(ctx, effectSQL, c.Saga, "reserve"); err != nil {
			return room{}, err
		}
		if _, err := tx.Exec(ctx, `insert into rooms values ($1)`, c.Body.Number); err != nil {
			return room{}, participant.Refusef("room %d is taken", c.Body.Number)
		}
		return c.Body, nil
	})
	p := hotel(t, db.Pool, s)
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{
		command("ReserveRoom", "1", body(7, false)), command("ReserveRoom", "2", body(7, false)), command("ReserveRoom", "3", body(8, false)),
	}))
	require.Equal(t, []string{"RoomReserved", "RoomRefused", "RoomReserved"}, types(answers(t, db.Pool, "")))
	require.JSONEq(t, `{"reason":"room 7 is taken"}`, answers(t, db.Pool, "2")[0].Body)
	require.Empty(t, effects(t, db.Pool, "2"))
	require.Len(t, effects(t, db.Pool, "3"), 1)
}

// A database that is down is no reason to undo a saga.
func TestParticipant_AnErrorThatIsNoRefusalIsNotAnswered(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	down := errors.New("the key card printer does not answer")
	broken := true
	s := step()
	s.Do = participant.Handle("ReserveRoom", func(ctx context.Context, tx pgx.Tx, c participant.Command[room]) (room, error) {
		r, err := reserve(ctx, tx, c)
		if c.Key == "2" && broken {
			return r, down
		}
		return r, err
	})
	p := hotel(t, db.Pool, s)
	batch := []inbox.Delivery{command("ReserveRoom", "1", body(7, false)), command("ReserveRoom", "2", body(8, false))}
	require.ErrorIs(t, p.Process(t.Context(), batch), down)
	require.Empty(t, answers(t, db.Pool, ""))
	require.Empty(t, effects(t, db.Pool, "1"))

	broken = false
	require.NoError(t, p.Process(t.Context(), batch))
	require.Equal(t, []string{"RoomReserved", "RoomReserved"}, types(answers(t, db.Pool, "")))
}

// What the saga has no answer for is for a person: a dead letter. The other commands take effect.
func TestParticipant_ARefusedUndoIsADeadLetter(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := step()
	s.Undo = participant.HandleUndo("ReleaseRoom", func(context.Context, pgx.Tx, participant.Command[room]) error {
		return participant.Refuse("the guest is in the room")
	})
	p := hotel(t, db.Pool, s)
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{
		command("ReserveRoom", "1", body(7, false)), command("ReleaseRoom", "1", ""), command("ReserveRoom", "2", body(8, false)),
	}))
	require.Equal(t, []string{"RoomReserved", "RoomReserved", "ReleaseRoom"}, types(answers(t, db.Pool, "")))
	var topic, reason string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select topic, headers ->> 'waybill-dlq-reason' from outbox where type = 'ReleaseRoom'`).Scan(&topic, &reason))
	require.Equal(t, "hotel.commands.v1.dlq", topic)
	require.Contains(t, reason, "the guest is in the room")
}

func TestParticipant_WhatIsNotACommandIsLeftAloneOrSetAside(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	p := hotel(t, db.Pool, step())
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{
		command("SomethingNew", "1", "{}"), command("ReserveRoom", "", body(7, false)), command("ReserveRoom", "2", `{"number":"seven"}`),
	}))
	require.Equal(t, []string{"ReserveRoom", "ReserveRoom"}, types(answers(t, db.Pool, "")), "the dead letters")
	require.ElementsMatch(t, []string{"ReserveRoom", "ReleaseRoom"}, p.Commands())
}

func TestFunctions_SayWhatIsWrongWithTheirArguments(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for problem, args := range map[string][2]string{
		"missing: step.topic, step.done, command.key": {`{"do": "A"}`, `{"id": "1", "type": "A"}`},
		"missing: step.undone, step.refused":          {`{"topic": "t", "do": "A", "done": "B", "undo": "C"}`, `{"id": "1", "type": "A", "key": "17"}`},
		"X is not a command of the step A":            {`{"topic": "t", "do": "A", "done": "B"}`, `{"id": "1", "type": "X", "key": "17"}`},
	} {
		_, err := db.Pool.Exec(t.Context(), `select participant_begin($1, $2)`, args[0], args[1])
		require.ErrorContains(t, err, problem)
	}
	_, err := db.Pool.Exec(t.Context(), `select participant_refuse($1, '{"id": "1", "type": "ReleaseRoom", "key": "17"}', 'no')`, stepJSON)
	require.ErrorContains(t, err, "ReleaseRoom cannot be refused")
	_, err = db.Pool.Exec(t.Context(), `select participant_finish($1, '{"id": "1", "type": "ReleaseRoom", "key": "17"}')`, stepJSON)
	require.ErrorContains(t, err, "participant_begin was not called")
}

func TestForget_DeletesWhatIsOlder(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	p := hotel(t, db.Pool, step())
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{
		command("ReserveRoom", "1", body(7, false)), command("ReserveRoom", "2", body(7, false)), command("ReserveRoom", "3", body(7, false)),
	}))
	_, err := db.Pool.Exec(t.Context(), `update participant_steps set decided_at = now() - interval '1 year' where saga <> 'trip/3'`)
	require.NoError(t, err)
	for _, want := range []int{1, 1, 0} {
		n, err := participant.Forget(t.Context(), db.Pool, time.Now().Add(-time.Hour), 1)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
}

// A participant in another language logs in as a writer and participant, and needs no other right.
func TestFunctions_NeedNoMoreThanTheRoles(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	login := "participant_" + db.Pool.Config().ConnConfig.Database
	require.NoError(t, migrations.Grant(t.Context(), db.URL, login, "secret", migrations.Writer, migrations.ParticipantRole))
	t.Cleanup(func() {
		_, _ = db.Pool.Exec(context.WithoutCancel(t.Context()), "drop owned by "+login+"; drop role "+login) // the server ends anyway
	})
	config := db.Pool.Config().Copy()
	config.ConnConfig.User, config.ConnConfig.Password = login, "secret"
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	_, err = db.Pool.Exec(t.Context(), "grant insert on effects to "+login)
	require.NoError(t, err)
	for _, c := range []received{{undoing: false}, {undoing: false}, {undoing: true}, {undoing: true}, {undoing: false}} {
		require.NoError(t, inSQL(t.Context(), pool, "17", c))
	}
	require.Len(t, answers(t, db.Pool, "17"), 5)
}
