package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	chassis "waybill.example/chassis/postgres"
	"waybill.example/contracts"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// confirm carries an order to its end.
func confirm(t *testing.T, s *store.Store, id int64, at time.Time) {
	t.Helper()
	out := apply(t, s, at, created(t, id))
	out = apply(t, s, at, message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(id, out[0].EventID, at), Reserved: true}))
	apply(t, s, at, message(t, contracts.OrderConfirmed{Envelope: contracts.NewEnvelope(id, out[0].EventID, at)}))
}

func TestOnlySagasThatEndedLongAgoExpire(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDB(t))
	confirm(t, s, 1, start)
	apply(t, s, start, created(t, 2)) // as old, but open
	confirm(t, s, 3, start.Add(time.Hour))
	n, err := s.Expire(t.Context(), start.Add(time.Minute), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, _, err = s.Get(t.Context(), saga.Ref{ID: "1"})
	require.ErrorIs(t, err, store.ErrNotFound)
	var lines int
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select count(*) from saga_transitions where saga_id = '1'").Scan(&lines))
	require.Zero(t, lines)
	for _, id := range []string{"2", "3"} {
		_, _, err = s.Get(t.Context(), saga.Ref{ID: id})
		require.NoError(t, err)
	}
	n, err = s.Expire(t.Context(), start.Add(time.Minute), 10)
	require.NoError(t, err)
	require.Zero(t, n)
}

// One saga whose command cannot be made does not keep the deadlines of the
// others from being acted on.
func TestADeadlineThatCannotBeActedOnHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDB(t))
	apply(t, s, start, created(t, 1), created(t, 2))
	s.Encode = func(c saga.Command) (outbox.Message, error) {
		if c.Key == "1" {
			return outbox.Message{}, errors.New("no such topic")
		}
		r, err := ordersaga.Encode(c)
		return outbox.Message(r), err
	}
	late := start.Add(time.Minute)
	n, err := s.ApplyDue(t.Context(), late, store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	state, _, err := s.Get(t.Context(), saga.Ref{ID: "2"})
	require.NoError(t, err)
	require.Equal(t, 2, state.Steps[1].Attempt)
	state, _, err = s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, 1, state.Revision, "unchanged")
	n, err = s.ApplyDue(t.Context(), late, store.ReadAll(), 10)
	require.NoError(t, err)
	require.Zero(t, n, "looked at again later")
}

// Two batches that decide about the same saga at once: one wins, the other
// writes nothing, neither state nor history nor inbox, and can be tried again.
func TestOfTwoConcurrentBatchesOneWinsAndTheOtherWritesNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDB(t))
	out := apply(t, s, start, created(t, 1))
	reply := func() store.Event {
		return message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, out[0].EventID, start), Reserved: true})
	}
	winner, err := s.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = applyIn(t.Context(), s, winner, []store.Event{reply()}, start)
	require.NoError(t, err)
	late, lost := reply(), make(chan error, 1)
	go func() {
		lost <- pgx.BeginFunc(t.Context(), s.Pool, func(tx pgx.Tx) error {
			_, err := applyIn(t.Context(), s, tx, []store.Event{late}, start)
			return err
		})
	}()
	require.Eventually(t, func() bool {
		var waiting int
		require.NoError(t, s.Pool.QueryRow(t.Context(),
			"select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'").Scan(&waiting))
		return waiting == 1
	}, 10*time.Second, time.Millisecond, "the second has decided, and waits to write")
	require.NoError(t, winner.Commit(t.Context()))
	failure := <-lost
	require.ErrorContains(t, failure, "another transaction was faster")
	require.True(t, chassis.Unavailable(failure), "it is worth another try")

	_, lines, err := s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Len(t, lines, 2)
	apply(t, s, start, reply())
	state, _, err := s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, 1, state.Stale, "tried again, it finds the step done")
}
