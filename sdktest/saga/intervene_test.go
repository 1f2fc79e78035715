package saga_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
)

var operator = saga.Operator{Actor: "ann", Reason: "the warehouse called"}

// refuses applies an input that must be refused and change nothing.
func TestRetryNowAsksAgainAtOnceWithAllItsAttempts(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.waits()
	s.waits()
	require.Equal(t, "ReserveInventory", s.input(saga.RetryNow{Operator: operator}))
	require.Equal(t, "ann", s.line().Cause.Actor)
	require.Equal(t, operator.Reason, s.line().Note)
	due, _ := s.State().Deadline()
	require.Equal(t, 10*time.Second, due.Sub(s.Now()))
	s.waits()
	s.waits()
	require.Len(t, s.Commands("ReserveInventory"), 6)
	require.Equal(t, "ReleaseInventory CancelOrder", s.waits())
	s.Refuses(saga.RetryNow{Operator: operator, Step: "confirm"}, saga.ErrNotWaiting)
}

func TestRetryNowFreesAStuckCompensation(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryRejected")
	s.waits()
	s.waits()
	s.Is("COMPENSATION_STUCK")
	require.Equal(t, "CancelOrder", s.input(saga.RetryNow{Operator: operator, Step: "order"}))
	s.Is("COMPENSATING")
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("CANCELLED")
	s.Refuses(saga.RetryNow{Operator: operator}, saga.ErrEnded)
}

func TestAnOperatorCancelsARunningSagaAndAlsoOneLongCompleted(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	s.answers("ConfirmOrder", "OrderConfirmed")
	s.Delay(1000 * time.Hour)
	require.Equal(t, "ReleaseInventory", s.input(saga.Cancel{Operator: operator}))
	s.Refuses(saga.Cancel{Operator: operator}, saga.ErrNoEffect)
	require.Equal(t, operator.Reason, s.State().Reason)
}

func TestForceEndsASagaAndALateSuccessIsStillUndone(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.Refuses(saga.Force{Operator: operator, End: "DONE"}, saga.ErrUnknownEnd)
	require.Equal(t, "ReleaseInventory CancelOrder", s.input(saga.Force{Operator: operator, End: "CANCELLED"}))
	s.Is("CANCELLED")
	_, waits := s.State().Deadline()
	require.False(t, waits)
	require.Equal(t, "ReleaseInventory", s.answers("ReserveInventory", "InventoryReserved"))
	s.answers("ReleaseInventory", "InventoryReleased")
	s.Is("CANCELLED")
}

func TestForceCanCompleteASagaThatIsStuck(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	s.input(saga.Force{Operator: operator, End: "CONFIRMED"})
	s.Is("CONFIRMED")
	s.answers("ConfirmOrder", "OrderConfirmed")
	require.Equal(t, saga.StaleReply, s.line().Kind)
}

func TestADeadlineCanBeMovedAndRevoked(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	later := s.Now().Add(time.Hour)
	require.Empty(t, s.input(saga.MoveDeadline{Operator: operator, Step: "reserve", To: later}))
	due, _ := s.State().Deadline()
	require.Equal(t, later, due)
	s.input(saga.RevokeDeadline{Operator: operator, Step: "reserve"})
	_, waits := s.State().Deadline()
	require.False(t, waits)
	require.Equal(t, "ConfirmOrder", s.answers("ReserveInventory", "InventoryReserved"))
	s.Refuses(saga.MoveDeadline{Operator: operator, Step: "reserve", To: later}, saga.ErrNotWaiting)
	s.Refuses(saga.RevokeDeadline{Operator: operator, Step: "reserve"}, saga.ErrNotWaiting)
}
