package saga_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// The saga gives a reservation up and undoes it. Then its database is put back to before that, and what
// was asked and answered since is read again: the late success first, now in time, and then the answer to
// an undo that the saga has not sent.
func TestApply_AnUndoThatARestoreHasForgottenTurnsTheSagaBack(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	backup := s.state
	reserve := s.sent["ReserveInventory"][0].ID
	for s.sent["ReleaseInventory"] == nil {
		s.waits()
	}
	release := s.sent["ReleaseInventory"][0].ID

	s.state = backup
	require.Equal(t, "ConfirmOrder", s.says("InventoryReserved", reserve, `{}`))
	require.Empty(t, s.says("InventoryReleased", uuid.New(), `{}`), "another's")
	s.is("RUNNING")
	require.Empty(t, s.says("InventoryReleased", release, `{}`), "the confirmation is under way")
	s.is("COMPENSATING")
	require.Equal(t, "CancelOrder", s.answers("ConfirmOrder", "OrderConfirmed"))
	s.answers("CancelOrder", "OrderCancelled")
	s.is("CANCELLED")
	require.Len(t, s.sent["ReleaseInventory"], 1, "it need not be released again")
	require.Equal(t, "reserve had been undone before the saga's database was put back", s.state.Reason)

	// The answer to the undo comes first, and the success after it.
	s.state, s.sent["CancelOrder"] = backup, nil
	require.Equal(t, "CancelOrder", s.says("InventoryReleased", release, `{}`))
	require.Equal(t, "ReleaseInventory", s.says("InventoryReserved", reserve, `{}`))
	s.answers("CancelOrder", "OrderCancelled")
	s.is("COMPENSATING")
	s.answers("ReleaseInventory", "InventoryReleased")
	s.is("CANCELLED")

	// A saga that had completed.
	s.state = backup
	s.says("InventoryReserved", reserve, `{}`)
	s.answers("ConfirmOrder", "OrderConfirmed")
	s.is("CONFIRMED")
	require.Equal(t, "CancelOrder", s.says("InventoryReleased", release, `{}`))
}

// The saga has asked a step, and its database is put back to before that: the reply still says that the
// participant has done it.
func TestApply_ASuccessOfACommandThatARestoreHasForgottenIsUndone(t *testing.T) {
	t.Parallel()
	s := begin(t, purchaseSaga(t))
	s.answers("ReserveStock", "StockReserved")
	backup := s.state
	s.answers("AuthorisePayment", "PaymentAuthorised")
	ship := s.sent["ShipParcel"][0].ID

	s.state = backup
	require.Empty(t, s.says("ParcelShipped", uuid.New(), `{}`), "another's")
	require.Empty(t, s.says("ParcelShipped", ship, `{}`))
	require.Equal(t, "RecallParcel", s.answers("AuthorisePayment", "PaymentDeclined"))

	// The saga has turned back before the reply is read again.
	s.state = backup
	require.Equal(t, "ReleaseStock", s.answers("AuthorisePayment", "PaymentDeclined"))
	require.Equal(t, "RecallParcel", s.says("ParcelShipped", ship, `{}`))

	// It need not be asked again.
	s.state = backup
	s.says("ParcelShipped", ship, `{}`)
	require.Empty(t, s.answers("AuthorisePayment", "PaymentAuthorised"))
	s.is("DELIVERED")
}
