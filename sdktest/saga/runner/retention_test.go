package runner_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	chassis "waybill.example/chassis/postgres"
	"waybill.example/contracts"
	"waybill.example/orchestrator/orderflow"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// confirm carries an order to its end.
func confirm(t *testing.T, s *sagas, id int64, at time.Time) {
	t.Helper()
	out := apply(t, s, at, created(t, id))
	out = apply(t, s, at, message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(id, out[0].EventID, at), Reserved: true}))
	apply(t, s, at, message(t, contracts.OrderConfirmed{Envelope: contracts.NewEnvelope(id, out[0].EventID, at)}))
}

func TestOnlySagasThatEndedLongAgoExpire(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	confirm(t, s, 1, start)
	apply(t, s, start, created(t, 2)) // as old, but open
	confirm(t, s, 3, start.Add(time.Hour))
	n, err := s.Store.Expire(t.Context(), start.Add(time.Minute), 10)
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
	n, err = s.Store.Expire(t.Context(), start.Add(time.Minute), 10)
	require.NoError(t, err)
	require.Zero(t, n)
}

// One saga whose command cannot be made does not keep the deadlines of the others from being acted
// on.
func TestADeadlineThatCannotBeActedOnHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	apply(t, s, start, created(t, 1), created(t, 2))
	s.codec.encode = func(of saga.Ref, c saga.Command) (outbox.Message, error) {
		if c.Key == "1" {
			return outbox.Message{}, errors.New("no such topic")
		}
		return orderflow.Codec{}.Encode(of, c)
	}
	late := start.Add(time.Minute)
	n, err := s.due(t.Context(), late, store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	state, _, err := s.Get(t.Context(), saga.Ref{ID: "2"})
	require.NoError(t, err)
	require.Equal(t, 2, state.Steps[1].Attempt)
	state, _, err = s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, 1, state.Revision, "unchanged")
	n, err = s.due(t.Context(), late, store.ReadAll(), 10)
	require.NoError(t, err)
	require.Zero(t, n, "looked at again later")
}

// Two batches that decide about the same saga at once: one wins, the other writes nothing, neither
// state nor history nor inbox, and can be tried again.
func TestOfTwoConcurrentBatchesOneWinsAndTheOtherWritesNothing(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	out := apply(t, s, start, created(t, 1))
	reply := message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, out[0].EventID, start), Reserved: true})
	winner, err := s.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = winner.Exec(t.Context(), "update sagas set revision = revision + 1 where id = '1'")
	require.NoError(t, err)
	batch, lost := s.deliveries(reply), make(chan error, 1)
	go func() { lost <- s.Process(t.Context(), batch) }()
	require.Eventually(t, func() bool {
		var waiting int
		require.NoError(t, s.Pool.QueryRow(t.Context(),
			"select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'").Scan(&waiting))
		return waiting == 1
	}, time.Minute, time.Millisecond, "the second has decided, and waits to write")
	require.NoError(t, winner.Commit(t.Context()))
	failure := <-lost
	require.ErrorContains(t, failure, "another transaction was faster")
	require.True(t, chassis.Unavailable(failure), "it is worth another try")

	var handled, lines int
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select (select count(*) from inbox), (select count(*) from saga_transitions)").Scan(&handled, &lines))
	require.Equal(t, []int{1, 1}, []int{handled, lines}, "those of the start")
	require.NoError(t, s.Process(t.Context(), batch), "tried again, it decides about what the other has left")
	state, _, err := s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, saga.Done, state.Steps[1].Status)
}
