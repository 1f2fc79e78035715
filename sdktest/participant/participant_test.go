package participant_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
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

// Both find no row. The one that commits first wins; the other has no effect, and finds it when it
// tries again. The command and its undo must never both believe to be the first.
func TestParticipant_ACommandAndItsUndoAtTheSameTime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		slow, fast string // the slow one has looked before the fast one commits
		answers    []string
		effects    []string
	}{
		"the undo is first":    {"ReserveRoom", "ReleaseRoom", []string{"RoomReleased", "RoomRefused"}, []string{}},
		"the command is first": {"ReleaseRoom", "ReserveRoom", []string{"RoomReserved", "RoomReleased"}, []string{"reserve", `release {"number":7}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			looking, goOn := make(chan struct{}), make(chan struct{})
			blocking := participant.Step{
				Do: participant.Handle("Block", func(context.Context, pgx.Tx, participant.Command[struct{}]) (struct{}, error) {
					close(looking)
					<-goOn
					return struct{}{}, nil
				}), Done: "Blocked",
			}
			slow, fast := hotel(t, db.Pool, step(), blocking), hotel(t, db.Pool, step())
			batch := []inbox.Delivery{command("Block", "other", ""), command(tt.slow, "17", body(7, false))}
			failed := make(chan error, 1)
			go func() { failed <- slow.Process(t.Context(), batch) }()
			<-looking
			require.NoError(t, fast.Process(t.Context(), []inbox.Delivery{command(tt.fast, "17", body(7, false))}))
			close(goOn)
			require.ErrorContains(t, <-failed, "another transaction was faster")

			require.NoError(t, fast.Process(t.Context(), batch[1:]), "delivered again")
			require.Equal(t, tt.answers, types(answers(t, db.Pool, "17")))
			require.Equal(t, tt.effects, effects(t, db.Pool, "17"))
		})
	}
}

// The same for transactions that call the functions: in each order of looking and committing.
func TestFunctions_ACommandAndItsUndoAtTheSameTime(t *testing.T) {
	t.Parallel()
	const reserveRoom = `{"id": "0198f2a0-0000-7000-8000-000000000001", "type": "ReserveRoom", "key": "17"}`
	const releaseRoom = `{"id": "0198f2a0-0000-7000-8000-000000000002", "type": "ReleaseRoom", "key": "17"}`
	// What each does until it has said all but "commit".
	do := []string{`select participant_begin($1, $2)`, `select participant_finish($1, $2)`}
	undo := []string{`select participant_begin($1, $2)`}
	for name, tt := range map[string]struct {
		first, second string
		one, two      []string
	}{
		"the undo is first":    {releaseRoom, reserveRoom, undo, do},
		"the command is first": {reserveRoom, releaseRoom, do, undo},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			first, err := db.Pool.Begin(t.Context())
			require.NoError(t, err)
			for _, sql := range tt.one {
				_, err := first.Exec(t.Context(), sql, stepJSON, tt.first)
				require.NoError(t, err)
			}
			failed := make(chan error, 1)
			go func() {
				failed <- pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
					for _, sql := range tt.two {
						if _, err := tx.Exec(t.Context(), sql, stepJSON, tt.second); err != nil {
							return err
						}
					}
					return nil
				})
			}()
			requireOneWaits(t, db.Pool)
			require.NoError(t, first.Commit(t.Context()))
			require.ErrorContains(t, <-failed, "another transaction was faster")
			var state string
			require.NoError(t, db.Pool.QueryRow(t.Context(), `select state from participant_steps`).Scan(&state))
			require.Equal(t, map[string]string{releaseRoom: "UNDONE", reserveRoom: "DONE"}[tt.first], state)
		})
	}
}

// requireOneWaits waits until a session waits for a lock.
func requireOneWaits(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	const waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
	require.Eventually(t, func() bool {
		var n int
		return pool.QueryRow(t.Context(), waiting).Scan(&n) == nil && n == 1
	}, 20*time.Second, 5*time.Millisecond)
}

// Transactions that lock rows in the same order cannot deadlock. While somebody holds the row in
// the middle, a batch that names three sagas backwards has the first one and waits, and the last is
// free: rows that are there, and new ones.
func TestParticipant_RowsAreLockedInTheOrderOfTheirKeys(t *testing.T) {
	t.Parallel()
	const row = `insert into participant_steps (saga, step, state, reply_type, reply) values ('trip/' || $1::text, 'ReserveRoom', 'DONE', 'T', '{}')`
	for name, tt := range map[string]struct {
		there bool
		kind  string
		take  string // what takes a row from under others, or fails
	}{
		"rows that are there": {true, "ReleaseRoom", `select from participant_steps where saga = 'trip/' || $1::text for update nowait`},
		"new rows":            {false, "ReserveRoom", row},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			for _, saga := range []string{"a", "b", "c"} {
				if tt.there {
					_, err := db.Pool.Exec(t.Context(), row, saga)
					require.NoError(t, err)
				}
			}
			take := func(saga string) (pgx.Tx, error) {
				tx, err := db.Pool.Begin(t.Context())
				require.NoError(t, err)
				_, err = tx.Exec(t.Context(), `set local lock_timeout = '200ms'`)
				require.NoError(t, err)
				_, err = tx.Exec(t.Context(), tt.take, saga)
				return tx, err
			}
			middle, err := take("b")
			require.NoError(t, err)
			done := make(chan error, 1)
			p := hotel(t, db.Pool, step())
			go func() {
				done <- p.Process(t.Context(), []inbox.Delivery{
					command(tt.kind, "c", body(7, false)), command(tt.kind, "b", body(7, false)), command(tt.kind, "a", body(7, false)),
				})
			}()
			requireOneWaits(t, db.Pool)
			for saga, free := range map[string]bool{"a": false, "c": true} {
				tx, err := take(saga)
				require.Equal(t, free, err == nil, "%s: %v", saga, err)
				require.NoError(t, tx.Rollback(t.Context()))
			}
			require.NoError(t, middle.Rollback(t.Context()))
			require.NoError(t, <-done)
		})
	}
}

// Two instances have the same sagas in opposite orders, some of them known and some new. They may
// fail because the other was faster; they do not deadlock, and each saga is served once.
func TestParticipant_TwoInstancesWithTheSameSagasDoNotDeadlock(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	sagas := []string{"a", "b", "c", "d", "e", "f"}
	p := hotel(t, db.Pool, step())
	for i, saga := range sagas {
		if i%2 == 0 {
			require.NoError(t, p.Process(t.Context(), []inbox.Delivery{command("ReserveRoom", saga, body(7, false))}))
		}
	}
	instances := []*participant.Participant{p, hotel(t, db.Pool, step())}
	errs := make(chan error, 2)
	for round := range 10 {
		kind := []string{"ReserveRoom", "ReleaseRoom"}[round%2]
		for n, instance := range instances {
			batch := make([]inbox.Delivery, len(sagas))
			for i, saga := range sagas {
				at := i
				if n == 1 {
					at = len(sagas) - 1 - i
				}
				batch[at] = command(kind, saga, body(7, false))
				batch[at].Partition = int32(n + 1) // 1 or 2
			}
			go func() {
				err := instance.Process(t.Context(), batch)
				for isSerialization(err) {
					err = instance.Process(t.Context(), batch)
				}
				errs <- err
			}()
		}
		require.NoError(t, errors.Join(<-errs, <-errs))
	}
	for _, saga := range sagas {
		require.Equal(t, []string{"reserve", `release {"number":7}`}, effects(t, db.Pool, saga))
	}
}

func TestNew_SaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	s := step()
	s.Refused = ""
	_, err := participant.New(participant.Config{Consumer: "hotel"}, s, participant.Step{Do: s.Do, Done: "RoomReserved"})
	for _, problem := range []string{
		"the consumer or the database is not set", `step "ReserveRoom": there is no topic`, `the command "ReserveRoom" is handled twice`,
		`the answer "RoomReserved" is used twice`,
	} {
		require.ErrorContains(t, err, problem)
	}
	_, err = participant.New(participant.Config{Consumer: "hotel", DB: &pgxpool.Pool{}, Topic: "hotel.v1"}, s)
	require.ErrorContains(t, err, "needs Undone, and Refused")
}

// A handler without a function would panic at the first command, again and again.
func TestNew_RefusesAHandlerWithoutAFunction(t *testing.T) {
	t.Parallel()
	config := participant.Config{Consumer: "hotel", DB: &pgxpool.Pool{}, Topic: "hotel.v1"}
	s := step()
	s.Do = participant.Handle[room, room]("ReserveRoom", nil)
	_, err := participant.New(config, s)
	require.ErrorContains(t, err, `step "ReserveRoom": Do must be made by Handle, with the type of the command and a function`)
	s = step()
	s.Undo = participant.HandleUndo[room]("ReleaseRoom", nil)
	_, err = participant.New(config, s)
	require.ErrorContains(t, err, `step "ReserveRoom": Undo must be made by HandleUndo, with a function`)
}

func TestParticipant_SaysWhatToRunWhereTheDatabaseWasNotSetUp(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	err := hotel(t, db.Pool, step()).Process(t.Context(), []inbox.Delivery{command("ReserveRoom", "17", body(7, false))})
	require.ErrorContains(t, err, "run: migrate up --database URL participant")
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
