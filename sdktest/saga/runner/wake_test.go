package runner_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// A step in the middle of a saga writes its row and no index: Postgres calls such an update
// heap-only, and does not for one that changes a column of any index.
func TestSave_AStepOnTheWayIsAHeapOnlyUpdate(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t), refund(t, 1, "tell"))
	asked := happened("RefundAsked", "1", uuid.Nil)
	apply(t, s, start, asked)
	step := func(m event, now time.Time) (updated, heapOnly int) {
		s.moveTo(now)
		require.NoError(t, pgx.BeginFunc(t.Context(), s.Pool, func(tx pgx.Tx) error {
			before, beforeHeapOnly := updates(t, tx)
			require.NoError(t, s.Deliver(t.Context(), tx, m.Message))
			updated, heapOnly = updates(t, tx)
			updated, heapOnly = updated-before, heapOnly-beforeHeapOnly
			return nil
		}))
		return updated, heapOnly
	}
	command := func() (id uuid.UUID) {
		require.NoError(t, s.Pool.QueryRow(t.Context(), "select event_id from outbox order by id desc limit 1").Scan(&id))
		return id
	}
	updated, heapOnly := step(happened("Done-pay", "1", command()), start.Add(time.Millisecond))
	require.Equal(t, 1, updated)
	require.Equal(t, 1, heapOnly)

	updated, heapOnly = step(happened("Done-tell", "1", command()), start.Add(2*time.Millisecond))
	require.Equal(t, 1, updated)
	require.Zero(t, heapOnly, "that it has ended is written into the index of open sagas")
	require.Nil(t, s.wake(t, "1"))
}

// Pages of sagas have room for the next version of each row in them, also where all move on
// together.
func TestSave_StepsOfABatchAreHeapOnlyUpdates(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t), refund(t, 1, "tell"))
	const n = 100 // several pages
	var asked, paid []saga.Message
	for i := range n {
		asked = append(asked, happened("RefundAsked", strconv.Itoa(i), uuid.Nil).Message)
	}
	s.moveTo(start)
	var all, heapOnly int
	deliver := func(messages []saga.Message) {
		require.NoError(t, pgx.BeginFunc(t.Context(), s.Pool, func(tx pgx.Tx) error {
			require.NoError(t, s.Deliver(t.Context(), tx, messages...))
			all, heapOnly = updates(t, tx)
			return nil
		}))
	}
	deliver(asked)
	rows, err := s.Pool.Query(t.Context(), "select key, event_id from outbox") //nolint:rowserrcheck // ForEachRow returns its error
	require.NoError(t, err)
	var key string
	var command uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&key, &command}, func() error {
		paid = append(paid, happened("Done-pay", key, command).Message)
		return nil
	})
	require.NoError(t, err)
	s.moveTo(start.Add(time.Millisecond))
	deliver(paid)
	require.Equal(t, n, all)
	require.Equal(t, n, heapOnly)
}

// updates are how many updates of sagas Postgres has counted in the session, and how many of them
// were heap-only.
func updates(t *testing.T, tx pgx.Tx) (all, heapOnly int) {
	t.Helper()
	require.NoError(t, tx.QueryRow(t.Context(), `
select pg_stat_get_xact_tuples_updated('sagas'::regclass), pg_stat_get_xact_tuples_hot_updated('sagas'::regclass)`).Scan(&all, &heapOnly))
	return all, heapOnly
}

// wake is when a saga is looked at; nil: never.
func (s *sagas) wake(t *testing.T, id string) *time.Time { return s.time(t, "wake_at", id) }

func (s *sagas) time(t *testing.T, column, id string) (at *time.Time) {
	t.Helper()
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select "+column+" from sagas where id = $1", id).Scan(&at))
	return at
}

// A saga is looked at before its deadline, put off until then, and acted on when it comes.
func TestApplyDue_ASagaThatIsLookedAtTooEarlyIsActedOnInTime(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t), refund(t, 1, "tell"))
	out := apply(t, s, start, happened("RefundAsked", "1", uuid.Nil))
	first := *s.wake(t, "1")
	require.True(t, first.After(start.Add(600*time.Millisecond)) && first.Before(*s.time(t, "deadline", "1")), "a second, give or take a tenth")
	apply(t, s, start.Add(500*time.Millisecond), happened("Done-pay", "1", out[0].EventID))
	second := *s.time(t, "deadline", "1")
	require.Equal(t, first, *s.wake(t, "1"))

	s.moveTo(first.Add(time.Millisecond))
	due, err := s.Store.UntilDue(t.Context())
	require.NoError(t, err)
	require.Zero(t, due, "it is looked at")
	n, err := s.ApplyDue(t.Context(), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Zero(t, n, "and not taken")
	require.NoError(t, s.Store.MoveWakes(t.Context(), 10))
	require.Equal(t, second, *s.wake(t, "1"))
	due, err = s.Store.UntilDue(t.Context())
	require.NoError(t, err)
	require.Equal(t, second.Sub(first.Add(time.Millisecond)), due, "the next look is when its deadline comes")

	n, err = s.due(t.Context(), second.Add(time.Millisecond), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.True(t, s.wake(t, "1").After(second), "a wake that has passed moves with the deadline")
	require.True(t, s.wake(t, "1").Before(*s.time(t, "deadline", "1")))
}

// A row that was written without wake_at, by hand, is looked at at once, and then when it should
// be: an open one at its deadline, one that has ended never.
func TestMoveWakes_FindsRowsThatWereWrittenByHand(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	_, err := s.Pool.Exec(t.Context(), `
insert into sagas (id, definition, version, phase, state, revision, steps, data, started_at, updated_at, deadline)
values ('1', 'order', 1, 'RUNNING', 'RUNNING', 1, '[]', '{}', $1, $1, $1::timestamptz + interval '1 hour'),
       ('2', 'order', 1, 'COMPLETED', 'CONFIRMED', 1, '[]', '{}', $1, $1, null)`, start)
	require.NoError(t, err)
	require.NoError(t, s.Store.MoveWakes(t.Context(), 10))
	require.Equal(t, start.Add(time.Hour), s.wake(t, "1").UTC())
	require.Nil(t, s.wake(t, "2"))
}
