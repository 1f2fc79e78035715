package saga_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
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
