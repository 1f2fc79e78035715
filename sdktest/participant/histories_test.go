package participant_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/participant"
)

// received is one command of a history.
type received struct {
	id      uuid.UUID
	undoing bool
	full    bool // the hotel refuses it
}

func (r received) kind() string {
	if r.undoing {
		return "ReleaseRoom"
	}
	return "ReserveRoom"
}

// histories draws what one saga sends, in the order in which it comes: commands and undos, repeated
// as new messages, and delivered more than once.
func histories(t *rapid.T) []received {
	history := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) received {
		return received{undoing: rapid.Bool().Draw(t, "undoing"), full: rapid.Bool().Draw(t, "full")}
	}), 1, 8).Draw(t, "history")
	for i := range history {
		if i > 0 && history[i].undoing == history[i-1].undoing && rapid.Bool().Draw(t, "redelivered") {
			history[i] = history[i-1]
			continue
		}
		history[i].id = uuid.Must(uuid.NewV7())
	}
	return history
}

// In whatever order commands and undos come, the room is reserved at most once and released at most
// once, if it was reserved; each of the three answers is one event, always the same; each command
// gets one that fits.
//
// The functions in SQL and the kit are run through the same histories and do the same.
func TestParticipant_AnyHistoryHasOneEffectAndOneAnswer(t *testing.T) {
	t.Parallel()
	kit, sql := newDatabase(t), newDatabase(t)
	p := hotel(t, kit.Pool, step())
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		history := histories(r)
		n++
		saga := fmt.Sprint(n)
		for rest := history; len(rest) > 0; {
			size := rapid.IntRange(1, len(rest)).Draw(r, "batch")
			var batch []inbox.Delivery
			for _, c := range rest[:size] {
				batch = append(batch, delivery(c.id, c.kind(), saga, body(7, c.full)))
			}
			require.NoError(r, p.Process(t.Context(), batch))
			rest = rest[size:]
		}
		seen := map[uuid.UUID]bool{}
		for _, c := range history {
			if seen[c.id] {
				continue // for the functions that is the same as asking again; the kit's inbox knows the message
			}
			seen[c.id] = true
			require.NoError(r, inSQL(t.Context(), sql.Pool, saga, c))
		}

		got := answers(t, kit.Pool, saga)
		require.Equal(r, got, answers(t, sql.Pool, saga), "the kit and SQL")
		require.Equal(r, effects(t, kit.Pool, saga), effects(t, sql.Pool, saga), "the kit and SQL")
		requirePromises(r, history, got, effects(t, kit.Pool, saga))
	})
}

func requirePromises(t require.TestingT, history []received, answers []said, effects []string) {
	require.Contains(t, [][]string{{}, {"reserve"}, {"reserve", `release {"number":7}`}}, effects)
	events, bodies := map[string]uuid.UUID{}, map[string]string{}
	asked := map[string]bool{}
	for _, c := range history {
		asked[c.id.String()] = c.undoing
	}
	answered := map[string]bool{}
	for _, a := range answers {
		if first, known := events[a.Type]; known {
			require.Equal(t, first, a.EventID)
			require.Equal(t, bodies[a.Type], a.Body)
			require.NotEmpty(t, a.Again, "news only once")
		} else {
			require.NotEmpty(t, a.Cause)
		}
		events[a.Type], bodies[a.Type] = a.EventID, a.Body
		answered[a.Cause+a.Again] = true
		require.Equal(t, asked[a.Cause+a.Again], a.Type == "RoomReleased", "an undo, and nothing else, is answered so")
	}
	require.Len(t, answers, len(asked), "one for each command")
	require.Len(t, answered, len(asked))
	if len(effects) == 0 {
		require.NotContains(t, events, "RoomReserved")
	} else {
		require.Contains(t, events, "RoomReserved")
	}
}

// stepJSON is step in the terms of the functions.
const stepJSON = `{"topic": "hotel.v1", "do": "ReserveRoom", "done": "RoomReserved", "refused": "RoomRefused",
                   "undo": "ReleaseRoom", "undone": "RoomReleased"}`

// inSQL is a participant that is written with the functions.
func inSQL(ctx context.Context, db *pgxpool.Pool, saga string, c received) error {
	command, err := json.Marshal(map[string]string{"id": c.id.String(), "type": c.kind(), "key": saga, "saga": "trip"})
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		var todo string
		if err := tx.QueryRow(ctx, `select participant_begin($1, $2)`, stepJSON, string(command)).Scan(&todo); err != nil {
			return err
		}
		switch todo {
		case "do":
			return doInSQL(ctx, tx, saga, string(command), c.full)
		case "undo":
			if _, err := tx.Exec(ctx, effectSQL, "trip/"+saga, `release {"number":7}`); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `select participant_finish($1, $2)`, stepJSON, string(command))
			return err
		}
		return nil
	})
}

func doInSQL(ctx context.Context, tx pgx.Tx, saga, command string, full bool) error {
	err := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
		_, err := reserve(ctx, savepoint, participant.Command[room]{Saga: "trip/" + saga, Body: room{7, full}})
		return err
	})
	if full {
		_, err = tx.Exec(ctx, `select participant_refuse($1, $2, 'full')`, stepJSON, command)
		return err
	}
	if err == nil {
		_, err = tx.Exec(ctx, `select participant_finish($1, $2, '{"number":7}')`, stepJSON, command)
	}
	return err
}
