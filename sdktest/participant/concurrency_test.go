package participant_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/participant"
)

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
