package runner_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// What was held for a saga was recorded as handled when it came. If it becomes a dead letter after
// all, it must not be considered a duplicate of itself when it is sent again.
func TestApplyDue_AHeldMessageThatIsSetAsideCanBeSentAgain(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	newer, other := newSagas(t, db, refund(t, 2)), newSagas(t, db, refund(t, 1))
	out := apply(t, newer, start, happened("RefundAsked", "1", uuid.Nil))
	apply(t, newer, start, happened("Done-pay", "1", out[0].EventID))
	late := happened("Done-pay", "1", out[0].EventID)
	id := late.ID
	apply(t, other, start.Add(time.Minute), late)
	state, _, err := other.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Len(t, state.Held, 1)

	_, err = other.due(t.Context(), start.Add(time.Hour), store.ReadAll(), 10)
	require.NoError(t, err)
	var copies, recorded int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from outbox where topic = 't.dlq' and event_id = $1`, id).Scan(&copies))
	require.Equal(t, 1, copies)
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from inbox`).Scan(&recorded))
	require.Equal(t, 3, recorded, "those of the other messages, and where this one stands")

	// It is a dead letter as others are, and takes effect when it is redriven.
	letters := deadletter.NewStore(db.Pool)
	dead, err := letters.List(t.Context(), deadletter.Filter{}, deadletter.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, dead, 1)
	require.Equal(t, id, *dead[0].EventID)
	require.Contains(t, dead[0].Reason, "not registered")
	redriven, err := letters.Redrive(t.Context(), dead[0].ID, deadletter.Change{})
	require.NoError(t, err)
	require.NoError(t, newer.Redriver(nil).RunQueue(t.Context(), *redriven.KeyID))
	after, err := letters.Get(t.Context(), dead[0].ID)
	require.NoError(t, err)
	require.Equal(t, []any{deadletter.Redriven, "applied"}, []any{after.State, after.Result}, after.Reason)
}
