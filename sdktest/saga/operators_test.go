package saga_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/sagatest"
)

func TestForce_IsRefusedOnceTheSagaHasEnded(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	s.answers("ConfirmOrder", "OrderConfirmed")
	s.Refuses(saga.Force{Operator: operator, End: "CANCELLED"}, saga.ErrEnded)
	s.Refuses(saga.Force{Operator: operator, End: "CONFIRMED"}, saga.ErrEnded)
	require.Equal(t, "ReleaseInventory", s.says("OrderCancelRequested", uuid.Nil, `{}`))
}

// Forced to CONFIRMED while the reservation is in flight, then cancelled: the
// reservation may have been made, before or after.
func TestForce_ACancellationAfterItLosesNoCompensation(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]bool{"answered in between": true, "never answered": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, orderSaga(t))
			require.Equal(t, "ConfirmOrder", s.input(saga.Force{Operator: operator, End: "CONFIRMED"}), "Orders is notified of the end")
			s.Is("CONFIRMED")
			if late {
				s.answers("ReserveInventory", "InventoryReserved")
			}
			require.Equal(t, "ReleaseInventory CancelOrder", s.input(saga.Cancel{Operator: operator}))
			s.answers("CancelOrder", "OrderCancelled")
			s.answers("ReleaseInventory", "InventoryReleased")
			s.Is("CANCELLED")
			if !late {
				require.Equal(t, "ReleaseInventory", s.answers("ReserveInventory", "InventoryReserved"))
			}
		})
	}
}

func TestForce_TheCancelledEndUndoesWhatWasDoneOrMayHaveBeen(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	require.Equal(t, "ReleaseInventory CancelOrder", s.input(saga.Force{Operator: operator, End: "CANCELLED"}))
	s.Is("CANCELLED")
	_, waits := s.State().Deadline()
	require.False(t, waits)
	s.answers("ReleaseInventory", "InventoryReleased")
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("CANCELLED")
	require.Zero(t, s.State().Stale)
	require.Empty(t, s.answers("ReserveInventory", "InventoryReserved"), "it was known to be done, and has been undone")
}

func TestIntervention_IsRefusedWhenTheSagaHasMovedOn(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	by := operator
	by.Seen = s.State().Revision
	s.answers("ReserveInventory", "InventoryReserved")
	for _, in := range []saga.Input{
		saga.Force{Operator: by, End: "CANCELLED"},
		saga.Cancel{Operator: by},
		saga.RetryNow{Operator: by},
		saga.MoveDeadline{Operator: by, Step: "confirm", To: s.Now()},
		saga.RevokeDeadline{Operator: by, Step: "confirm"},
	} {
		s.Refuses(in, saga.ErrMoved)
	}
	by.Seen = s.State().Revision
	require.Equal(t, "ConfirmOrder", s.input(saga.RetryNow{Operator: by}))
}

func TestCancel_AForgottenSagaIsNotMadeUp(t *testing.T) {
	t.Parallel()
	s := unbegun(t, orderSaga(t))
	require.Empty(t, s.says("OrderCancelRequested", uuid.Nil, `{"reason":"too late"}`))
	s.Is("AWAITING_START")
	require.Empty(t, s.says("OrderCancelRequested", uuid.Nil, `{}`))
	require.Empty(t, s.last.Transitions, "asking again writes nothing")
	require.Equal(t, "RefuseCancel", s.waits())
	require.Contains(t, s.last.Commands[0].Body, "nothing to cancel")
	s.Is("NOT_STARTED")
	for range 100 {
		s.says("OrderCancelRequested", uuid.Nil, `{}`)
		require.Empty(t, s.last.Transitions)
	}
	require.Equal(t, "CancelOrder", s.says("OrderCreated", uuid.Nil, `{"item":"burger"}`), "the start was late, not missing")
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("CANCELLED")
	require.Equal(t, "too late", s.State().Reason)
}

func TestCancel_AfterTheWindowIsRefusedOnce(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	s.answers("ConfirmOrder", "OrderConfirmed")
	asked := s.Now()
	s.Delay(time.Hour + 1)
	require.Equal(t, "RefuseCancel", s.says("OrderCancelRequested", uuid.Nil, `{}`))
	for range 100 {
		s.says("OrderCancelRequested", uuid.Nil, `{}`)
		require.Empty(t, s.last.Transitions)
	}
	s.Is("CONFIRMED")
	inTime := saga.Message{ID: uuid.New(), Type: "OrderCancelRequested", Key: sagatest.Key, Data: []byte(`{}`), Time: asked.Add(time.Minute)}
	require.Equal(t, "ReleaseInventory", s.input(inTime), "what was asked in time is granted, however long it waited to be read")
}

func TestMoveDeadline_RefusesTimesOutsideSaneBounds(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	for _, to := range []time.Time{
		{},
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, 0), s.Now().Add(-25 * time.Hour),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600)), s.Now().AddDate(11, 0, 0),
	} {
		s.Refuses(saga.MoveDeadline{Operator: operator, Step: "reserve", To: to}, saga.ErrBadDeadline)
	}
}

// The client asked to cancel, and an operator completes the saga all the same: the
// client learns of it.
func TestForce_TheCompletedEndRefusesACancellationThatWasAskedFor(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.says("OrderCancelRequested", uuid.Nil, `{}`)
	require.Equal(t, "ConfirmOrder RefuseCancel", s.input(saga.Force{Operator: operator, End: "CONFIRMED"}))
	s.Is("CONFIRMED")
}
