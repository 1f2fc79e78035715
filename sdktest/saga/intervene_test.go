package saga_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
)

var operator = saga.Operator{Actor: "ann", Reason: "the warehouse called"}

// refuses applies an input that must be refused and change nothing.
func (s *story) refuses(in saga.Input, want error) {
	s.t.Helper()
	_, err := s.def.Apply(s.state, in, s.now)
	require.ErrorIs(s.t, err, want)
}

func TestRetryNowAsksAgainAtOnceWithAllItsAttempts(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.waits()
	s.waits()
	require.Equal(t, "ReserveInventory", s.input(saga.RetryNow{Operator: operator}))
	require.Equal(t, "ann", s.last.Transition.Cause.Actor)
	require.Equal(t, operator.Reason, s.last.Transition.Note)
	due, _ := s.state.Deadline()
	require.Equal(t, 10*time.Second, due.Sub(s.now))
	s.waits()
	s.waits()
	require.Len(t, s.sent["ReserveInventory"], 6)
	require.Equal(t, "ReleaseInventory CancelOrder", s.waits())
	s.refuses(saga.RetryNow{Operator: operator, Step: "confirm"}, saga.ErrNotWaiting)
}

func TestRetryNowFreesAStuckCompensation(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryRejected")
	s.waits()
	s.waits()
	s.is("COMPENSATION_STUCK")
	require.Equal(t, "CancelOrder", s.input(saga.RetryNow{Operator: operator, Step: "order"}))
	s.is("COMPENSATING")
	s.answers("CancelOrder", "OrderCancelled")
	s.is("CANCELLED")
	s.refuses(saga.RetryNow{Operator: operator}, saga.ErrEnded)
}

func TestAnOperatorCancelsARunningSagaAndAlsoOneLongCompleted(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	s.answers("ConfirmOrder", "OrderConfirmed")
	s.now = s.now.Add(1000 * time.Hour)
	require.Equal(t, "ReleaseInventory", s.input(saga.Cancel{Operator: operator}))
	require.Empty(t, s.input(saga.Cancel{Operator: operator}), "twice is once")
	require.Equal(t, operator.Reason, s.state.Reason)
}

func TestForceEndsASagaAndALateSuccessIsStillUndone(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.refuses(saga.Force{Operator: operator, End: "DONE"}, saga.ErrUnknownEnd)
	require.Equal(t, "ReleaseInventory CancelOrder", s.input(saga.Force{Operator: operator, End: "CANCELLED"}))
	s.is("CANCELLED")
	_, waits := s.state.Deadline()
	require.False(t, waits)
	require.Equal(t, "ReleaseInventory", s.answers("ReserveInventory", "InventoryReserved"))
	s.answers("ReleaseInventory", "InventoryReleased")
	s.is("CANCELLED")
}

func TestForceCanCompleteASagaThatIsStuck(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	s.input(saga.Force{Operator: operator, End: "CONFIRMED"})
	s.is("CONFIRMED")
	s.answers("ConfirmOrder", "OrderConfirmed")
	require.Equal(t, saga.StaleReply, s.last.Transition.Kind)
}

func TestADeadlineCanBeMovedAndRevoked(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	later := s.now.Add(time.Hour)
	require.Empty(t, s.input(saga.MoveDeadline{Operator: operator, Step: "reserve", To: later}))
	due, _ := s.state.Deadline()
	require.Equal(t, later, due)
	s.input(saga.RevokeDeadline{Operator: operator, Step: "reserve"})
	_, waits := s.state.Deadline()
	require.False(t, waits)
	require.Equal(t, "ConfirmOrder", s.answers("ReserveInventory", "InventoryReserved"))
	s.refuses(saga.MoveDeadline{Operator: operator, Step: "reserve", To: later}, saga.ErrNotWaiting)
	s.refuses(saga.RevokeDeadline{Operator: operator, Step: "reserve"}, saga.ErrNotWaiting)
}
