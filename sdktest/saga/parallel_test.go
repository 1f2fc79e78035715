package saga_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
)

// purchaseSaga has three participants, two of them asked at once.
func purchaseSaga(t testing.TB) *saga.Definition {
	t.Helper()
	s := saga.Define[purchase]("purchase", 1)
	s.StartOn("PurchasePlaced", saga.From(func(p purchase) purchase { return p }))
	s.CancelOn("PurchaseCancelRequested", time.Hour, nil)
	s.Ends("DELIVERED", "REFUNDED")
	s.Step("stock").Send("ReserveStock", body).Success("StockReserved").Failure("StockRejected", nil).
		Wait(twice, "the warehouse did not answer").Undo("ReleaseStock", body, "StockReleased", twice)
	s.Parallel("payment").Send("AuthorisePayment", body).
		SuccessKeeping("PaymentAuthorised", func(p *purchase, m saga.Message) (err error) {
			p.Auth, err = saga.From(func(a struct{ Auth string }) string { return a.Auth })(m)
			return err
		}).
		Failure("PaymentDeclined", saga.From(func(r refusal) string { return r.Reason })).
		RetryLater("PaymentBusy").
		Wait(twice, "the bank did not answer").Undo("VoidPayment", func(c saga.Call[purchase]) (any, error) { return c.Data.Auth, nil }, "PaymentVoided", twice)
	s.Step("shipping").Send("ShipParcel", body).Success("ParcelShipped").Failure("ShippingRefused", nil).
		Wait(twice, "the carrier did not answer").Undo("RecallParcel", body, "ParcelRecalled", twice)
	def, err := s.Build()
	require.NoError(t, err)
	return def
}

func TestStepsInParallelAreAskedAtOnceAndAllMustSucceed(t *testing.T) {
	t.Parallel()
	s := begin(t, purchaseSaga(t))
	require.Len(t, s.last.Commands, 2)
	require.Empty(t, s.answers("AuthorisePayment", "PaymentAuthorised"))
	require.Equal(t, "ShipParcel", s.answers("ReserveStock", "StockReserved"))
	s.answers("ShipParcel", "ParcelShipped")
	s.Is("DELIVERED")
}

func TestWhatWasDoneIsUndoneInReverseOrder(t *testing.T) {
	t.Parallel()
	s := begin(t, purchaseSaga(t))
	s.says("PaymentAuthorised", s.Commands("AuthorisePayment")[0].ID, `{"auth":"a-17"}`)
	s.answers("ReserveStock", "StockReserved")
	require.Equal(t, "VoidPayment", s.answers("ShipParcel", "ShippingRefused"))
	require.Equal(t, "a-17", s.Commands("VoidPayment")[0].Body, "what a reply brought is there for the undo")
	require.Equal(t, "ReleaseStock", s.answers("VoidPayment", "PaymentVoided"))
	s.answers("ReleaseStock", "StockReleased")
	s.Is("REFUNDED")
	require.Empty(t, s.Commands("RecallParcel"), "what was refused is not undone")
}

func TestAFailureWaitsForTheStepBesideItBeforeUndoingIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ reply, sends string }{
		"which succeeds": {"StockReserved", "ReleaseStock"},
		"which fails":    {"StockRejected", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, purchaseSaga(t))
			require.Empty(t, s.answers("AuthorisePayment", "PaymentDeclined"))
			s.Is("COMPENSATING")
			require.Equal(t, c.sends, s.answers("ReserveStock", c.reply))
			if c.sends != "" {
				s.answers("ReleaseStock", "StockReleased")
			}
			s.Is("REFUNDED")
			require.Equal(t, "none left", s.State().Reason, "the first failure is the reason")
		})
	}
}

func TestEachParticipantCanBeSilent(t *testing.T) {
	t.Parallel()
	t.Run("one of two in parallel", func(t *testing.T) {
		t.Parallel()
		s := begin(t, purchaseSaga(t))
		s.answers("ReserveStock", "StockReserved")
		require.Equal(t, "AuthorisePayment", s.waits())
		require.Equal(t, "VoidPayment ReleaseStock", s.waits(), "the silent bank is notified, the warehouse not kept waiting")
		s.answers("ReleaseStock", "StockReleased")
		s.Is("COMPENSATING")
		s.answers("VoidPayment", "PaymentVoided")
		s.Is("REFUNDED")
		require.Equal(t, "the bank did not answer", s.State().Reason)
	})
	t.Run("both", func(t *testing.T) {
		t.Parallel()
		s := begin(t, purchaseSaga(t))
		s.waits()
		s.waits()
		require.Len(t, s.Commands("ReleaseStock"), 1)
		require.Len(t, s.Commands("VoidPayment"), 1)
		s.answers("VoidPayment", "PaymentVoided")
		s.answers("ReleaseStock", "StockReleased")
		s.Is("REFUNDED")
	})
	t.Run("the last", func(t *testing.T) {
		t.Parallel()
		s := begin(t, purchaseSaga(t))
		s.answers("ReserveStock", "StockReserved")
		s.answers("AuthorisePayment", "PaymentAuthorised")
		require.Equal(t, "ShipParcel", s.waits())
		require.Equal(t, "RecallParcel VoidPayment", s.waits())
	})
}

func TestABusyParticipantIsAskedAgainAfterTheWait(t *testing.T) {
	t.Parallel()
	s := begin(t, purchaseSaga(t))
	s.answers("ReserveStock", "StockReserved")
	require.Empty(t, s.answers("AuthorisePayment", "PaymentBusy"))
	s.Is("RUNNING")
	require.Equal(t, "AuthorisePayment", s.waits())
	require.Equal(t, "ShipParcel", s.answers("AuthorisePayment", "PaymentAuthorised"))
}

func TestACompletedSagaIsUndoneFromItsEnd(t *testing.T) {
	t.Parallel()
	s := begin(t, purchaseSaga(t))
	s.answers("ReserveStock", "StockReserved")
	s.answers("AuthorisePayment", "PaymentAuthorised")
	s.answers("ShipParcel", "ParcelShipped")
	require.Equal(t, "RecallParcel", s.says("PurchaseCancelRequested", uuid.Nil, `{}`))
	require.Equal(t, "VoidPayment", s.answers("RecallParcel", "ParcelRecalled"))
	require.Equal(t, "ReleaseStock", s.answers("VoidPayment", "PaymentVoided"))
	s.answers("ReleaseStock", "StockReleased")
	s.Is("REFUNDED")
}
