package saga_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
)

// The saga gives a reservation up and undoes it. Then its database is put back to before that, and
// what was asked and answered since is read again: the late success first, now in time, and then
// the answer to an undo that the saga has not sent.
func TestApply_AnUndoThatARestoreHasForgottenTurnsTheSagaBack(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	backup := s.State()
	reserve := s.Commands("ReserveInventory")[0].ID
	for s.Commands("ReleaseInventory") == nil {
		s.waits()
	}
	release := s.Commands("ReleaseInventory")[0].ID

	s.Restore(backup)
	require.Equal(t, "ConfirmOrder", s.says("InventoryReserved", reserve, `{}`))
	require.Empty(t, s.says("InventoryReleased", uuid.New(), `{}`), "another's")
	s.Is("RUNNING")
	require.Empty(t, s.says("InventoryReleased", release, `{}`), "the confirmation is under way")
	s.Is("COMPENSATING")
	require.Equal(t, "CancelOrder", s.answers("ConfirmOrder", "OrderConfirmed"))
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("CANCELLED")
	require.Len(t, s.Commands("ReleaseInventory"), 1, "it need not be released again")
	require.Equal(t, "reserve had been undone before the saga's database was put back", s.State().Reason)

	// The answer to the undo comes first, and the success after it.
	s.Restore(backup)
	require.Equal(t, "CancelOrder", s.says("InventoryReleased", release, `{}`))
	require.Equal(t, "ReleaseInventory", s.says("InventoryReserved", reserve, `{}`))
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("COMPENSATING")
	s.answers("ReleaseInventory", "InventoryReleased")
	s.Is("CANCELLED")

	// A saga that had completed.
	s.Restore(backup)
	s.says("InventoryReserved", reserve, `{}`)
	s.answers("ConfirmOrder", "OrderConfirmed")
	s.Is("CONFIRMED")
	require.Equal(t, "CancelOrder", s.says("InventoryReleased", release, `{}`))
}

// The saga has asked a step, and its database is put back to before that: the reply still says that
// the participant has done it.
func TestApply_ASuccessOfACommandThatARestoreHasForgottenIsUndone(t *testing.T) {
	t.Parallel()
	s := begin(t, purchaseSaga(t))
	s.answers("ReserveStock", "StockReserved")
	backup := s.State()
	s.answers("AuthorisePayment", "PaymentAuthorised")
	ship := s.Commands("ShipParcel")[0].ID

	s.Restore(backup)
	require.Empty(t, s.says("ParcelShipped", uuid.New(), `{}`), "another's")
	require.Empty(t, s.says("ParcelShipped", ship, `{}`))
	require.Equal(t, "RecallParcel", s.answers("AuthorisePayment", "PaymentDeclined"))

	// The saga has turned back before the reply is read again.
	s.Restore(backup)
	require.Equal(t, "ReleaseStock", s.answers("AuthorisePayment", "PaymentDeclined"))
	require.Equal(t, "RecallParcel", s.says("ParcelShipped", ship, `{}`))

	// It need not be asked again.
	s.Restore(backup)
	s.says("ParcelShipped", ship, `{}`)
	require.Empty(t, s.answers("AuthorisePayment", "PaymentAuthorised"))
	s.Is("DELIVERED")
}

// All that is left of the saga is a cancellation that is read again: its database was put back, or
// it completed so long ago that it was removed.
func TestApply_AReplyToASagaThatHasNotBegunSendsNothingUntilItBegins(t *testing.T) {
	t.Parallel()
	asked := begin(t, orderSaga(t))
	reserve := asked.Commands("ReserveInventory")[0].ID

	s := unbegun(t, orderSaga(t))
	s.says("OrderCancelRequested", uuid.Nil, `{}`)
	require.Empty(t, s.says("InventoryReserved", uuid.New(), `{}`), "another's")
	require.Equal(t, saga.StaleReply, s.line().Kind)
	require.Empty(t, s.says("InventoryReserved", reserve, `{}`))
	s.Is("AWAITING_START")
	noted := s.State()
	require.Equal(t, "ReleaseInventory", s.says("OrderCreated", uuid.Nil, `{"item":"burger"}`))
	require.Equal(t, "CancelOrder", s.answers("ReleaseInventory", "InventoryReleased"))
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("CANCELLED")

	// It had completed: what it has done stands.
	s.Restore(noted)
	require.Equal(t, "RefuseCancel", s.waits())
	require.Empty(t, s.says("InventoryReserved", reserve, `{}`))
	s.Is("NOT_STARTED")
	require.NoError(t, orderSaga(t).Readable(s.State()))
	require.Equal(t, "ReleaseInventory", s.says("OrderCreated", uuid.Nil, `{"item":"burger"}`), "it begins late")
}

// The orchestrator's database was put back to before the saga began, and the topics with the
// replies are read faster than the one with the start.
func TestApply_RepliesThatAreReadBeforeTheStartAreAppliedWithIt(t *testing.T) {
	t.Parallel()
	asked := begin(t, orderSaga(t))
	reserve := asked.Commands("ReserveInventory")[0].ID

	s := unbegun(t, orderSaga(t))
	s.Refuses(s.Message("InventoryReserved", uuid.New(), `{}`), saga.ErrUnknownSaga)
	s.Refuses(s.Message("InventoryReserved", uuid.Nil, `{}`), saga.ErrUnknownSaga)
	require.Empty(t, s.says("InventoryReserved", reserve, `{}`))
	require.Equal(t, saga.HeldMessage, s.line().Kind)
	require.Equal(t, uuid.Nil, s.line().Cause.ID, "the line that applies it names it")
	s.Is("AWAITING_START")
	held, created := s.State(), s.Message("OrderCreated", uuid.Nil, `{"item":"burger"}`)
	require.Equal(t, "ReserveInventory ConfirmOrder", s.input(created))
	require.Equal(t, reserve, s.Commands("ReserveInventory")[0].ID, "which Inventory does not answer again")
	s.answers("ConfirmOrder", "OrderConfirmed")
	s.Is("CONFIRMED")

	// Nothing begins: it had ended long ago.
	s.Restore(held)
	require.Empty(t, s.waits(), "nobody has asked for a cancellation")
	s.Is("NOT_STARTED")
	// The start was a dead letter for so long.
	require.Equal(t, "ReserveInventory ConfirmOrder", s.input(created))

	// A cancellation is read before the start, too.
	s.Restore(held)
	require.Empty(t, s.says("OrderCancelRequested", uuid.Nil, `{}`))
	require.Equal(t, "ReleaseInventory", s.input(created))
	s.Is("COMPENSATING")

	s = unbegun(t, orderSaga(t))
	s.says("InventoryRejected", reserve, `{"reason":"none left"}`)
	require.Equal(t, "ReserveInventory CancelOrder", s.input(created))
}

// The saga had asked again after the backup, and the answer to that is read again. When its
// deadline comes it would ask under the same id, which a participant does not answer twice.
func TestApply_TheReplyToAnAttemptThatARestoreHasForgottenCounts(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	backup := s.State()
	require.Equal(t, "ReserveInventory", s.waits())
	second := s.Commands("ReserveInventory")[1].ID
	s.Restore(backup)
	require.Equal(t, "ConfirmOrder", s.says("InventoryReserved", second, `{}`))

	s.Restore(backup)
	require.Equal(t, "ReleaseInventory CancelOrder", s.says("InventoryRejected", second, `{"reason":"none left"}`), "the first may be carried out yet")
}

// An undo can need what the success said.
func TestApply_AReplyBeforeTheStartWhoseBodyIsKeptIsUndoneWithIt(t *testing.T) {
	t.Parallel()
	asked := begin(t, purchaseSaga(t))
	pay := asked.Commands("AuthorisePayment")[0].ID
	s := unbegun(t, purchaseSaga(t))
	s.says("PurchaseCancelRequested", uuid.Nil, `{}`)
	require.Empty(t, s.says("PaymentAuthorised", pay, `{}`))
	require.NotEmpty(t, s.says("PurchasePlaced", uuid.Nil, `{}`))
	s.Is("COMPENSATING")
}

// What a reply has said before the start goes by the names of the steps: the start may belong to a
// version that has them in another order.
func TestRegistry_AReplyBeforeTheStartOutlivesAChangeOfVersion(t *testing.T) {
	t.Parallel()
	packed := func(s *saga.Builder[purchase]) {
		s.CancelOn("GiftCancelled", time.Hour, nil)
		s.Step("pack").Send("Pack", body).Success("Packed").Wait(twice, "silent").Undo("Unpack", body, "Unpacked", twice)
	}
	ribboned := func(s *saga.Builder[purchase]) {
		s.Step("ribbon").Send("Tie", body).Success("Tied").Wait(twice, "silent").NoUndo("it is cheap")
		packed(s)
	}
	v1, v2 := gift(t, 1, "GiftOrdered", packed), gift(t, 2, "GiftPlaced", ribboned)
	both, old := registry(t, v1, v2), registry(t, v1)
	now := time.Now()
	answer := func(messageType string, to saga.Decision) saga.Message {
		m := message(messageType)
		m.CausationID = to.Commands[0].ID
		return m
	}
	wrap := last2(t, old, saga.State{}, message("GiftOrdered"), now)
	pack := last2(t, old, wrap.State, answer("Wrapped", wrap), now)
	early := last2(t, both, saga.State{}, message("GiftCancelled"), now).State
	require.Equal(t, 2, early.Version)
	early = last2(t, both, early, answer("Packed", pack), now).State

	begun := last2(t, both, early, message("GiftOrdered"), now)
	require.Equal(t, 1, begun.State.Version)
	require.Len(t, begun.Commands, 1)
	require.Equal(t, "Unpack", begun.Commands[0].Type)
	require.Equal(t, "Unpack", last2(t, old, early, message("GiftOrdered"), now).Commands[0].Type, "version 2 is not registered there")
}
