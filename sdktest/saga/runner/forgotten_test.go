package runner_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// The database was put back to before the saga began, and its reply is read again before its start
// is: they come on different topics. What the saga would ask Inventory it has asked already, under
// the same id, so the reply is not going to come once more.
func TestProcess_AReplyThatIsReadAgainBeforeItsStartWaitsForIt(t *testing.T) {
	t.Parallel()
	before, restored := newSagas(t, newDB(t)), newSagas(t, newDB(t))
	order := created(t, 1)
	asked := apply(t, before, start, order)
	reply := message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, asked[0].EventID, start.Add(time.Second)), Reserved: true})
	another := message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, uuid.New(), start.Add(time.Second)), Reserved: true})

	now := start.Add(time.Hour)
	require.Empty(t, apply(t, restored, now, another))
	require.Len(t, restored.unknown, 1, "it answers no command of this saga")
	require.Empty(t, apply(t, restored, now, reply))
	require.Len(t, restored.unknown, 1)
	out := apply(t, restored, now, order)
	require.Equal(t, []string{"ReserveInventory", "ConfirmOrder"}, []string{out[0].Type, out[1].Type})
	require.Equal(t, asked[0].EventID, out[0].EventID)
	require.Empty(t, apply(t, restored, now, reply), "it is a duplicate")
	state, history, err := restored.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, saga.Running, state.Phase)
	require.Empty(t, state.Early)
	require.Len(t, history, 3)
}

// A reply to a saga that ended so long ago that it was removed leaves a trace, and no deadline.
func TestProcess_AReplyWhoseStartDoesNotComeIsKeptWithoutADeadline(t *testing.T) {
	t.Parallel()
	before, s := newSagas(t, newDB(t)), newSagas(t, newDB(t))
	asked := apply(t, before, start, created(t, 1))
	apply(t, s, start, message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, asked[0].EventID, start), Reserved: true}))

	n, err := s.due(t.Context(), start.Add(2*time.Minute), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	state, _, err := s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, saga.NotStarted, state.Phase)
	require.Len(t, state.Early, 1, "the start may be a dead letter")
	n, err = s.due(t.Context(), start.Add(24*time.Hour), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Zero(t, n)
	var sent int
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select count(*) from outbox").Scan(&sent))
	require.Zero(t, sent, "nobody asked for a cancellation that would have to be refused")
}
