package saga_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/saga"
)

// Purchase is what the saga remembers: what the order said, and what replies brought.
type Purchase struct {
	Item          string `json:"item"`
	Cents         int64  `json:"cents"`
	Authorisation string `json:"authorisation,omitempty"`
}

// The messages of the participants, as far as the saga reads them.
type (
	Declined   struct{ Reason string }
	Authorised struct{ Authorisation string }
)

// command makes the body of a command. The engine has drawn its id; what
// puts it into the outbox uses that id, so that the reply can name it.
func command(c saga.Call[Purchase]) (any, error) {
	return map[string]any{"purchase": c.Saga, "item": c.Data.Item}, nil
}

// PurchaseSaga reserves stock and authorises the payment at the same time,
// then ships.
func PurchaseSaga() (*saga.Definition, error) {
	s := saga.Define[Purchase]("purchase", 1)
	s.StartOn("PurchasePlaced", saga.From(func(p Purchase) Purchase { return p }))
	s.CancelOn("PurchaseCancelRequested", 24*time.Hour, nil)
	s.Ends("DELIVERED", "REFUNDED")

	patient := saga.RetryPolicy{Timeout: 10 * time.Second, MaxAttempts: 4}

	s.Step("stock").
		Send("ReserveStock", command).
		Success("StockReserved").
		Failure("StockRejected", saga.From(func(d Declined) string { return d.Reason })).
		Wait(patient, "the warehouse did not answer").
		Undo("ReleaseStock", command, "StockReleased", patient)

	s.Parallel("payment").
		Send("AuthorisePayment", command).
		SuccessKeeping("PaymentAuthorised", keepAuthorisation).
		Failure("PaymentDeclined", saga.From(func(d Declined) string { return d.Reason })).
		RetryLater("PaymentBusy").
		Wait(patient, "the bank did not answer").
		Undo("VoidPayment", voidPayment, "PaymentVoided", patient)

	s.Step("shipping").
		Send("ShipParcel", command).
		Success("ParcelShipped").
		Failure("ShippingRefused", saga.From(func(d Declined) string { return d.Reason })).
		Wait(patient, "the carrier did not answer").
		Undo("RecallParcel", command, "ParcelRecalled", patient)

	return s.Build()
}

// keepAuthorisation takes from a reply what the undo will need.
func keepAuthorisation(p *Purchase, m saga.Message) (err error) {
	p.Authorisation, err = saga.From(func(a Authorised) string { return a.Authorisation })(m)
	return err
}

func voidPayment(c saga.Call[Purchase]) (any, error) {
	return map[string]any{"authorisation": c.Data.Authorisation, "reason": c.Reason}, nil
}

// A saga is driven by what participants say. Here the bank agrees, the
// warehouse has nothing left, and so the payment is voided.
func Example() {
	purchase, err := PurchaseSaga()
	if err != nil {
		fmt.Println(err)
		return
	}
	var state saga.State
	sent := map[string]uuid.UUID{}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	hear := func(messageType string, cause uuid.UUID, body string) {
		m := saga.Message{ID: uuid.New(), Type: messageType, Key: "17", CausationID: cause, Data: json.RawMessage(body)}
		d, err := purchase.Apply(state, m, now)
		if err != nil {
			fmt.Println(err)
			return
		}
		state = d.State // in a service: state, transition and commands go into one transaction
		fmt.Printf("%s: %s\n", messageType, d.Transition.To)
		for _, c := range d.Commands {
			sent[c.Type] = c.ID
			fmt.Printf("  sends %s %v\n", c.Type, c.Body)
		}
	}
	hear("PurchasePlaced", uuid.Nil, `{"item": "lamp", "cents": 1999}`)
	hear("PaymentAuthorised", sent["AuthorisePayment"], `{"authorisation": "A-1"}`)
	hear("StockRejected", sent["ReserveStock"], `{"reason": "no lamps left"}`)
	hear("PaymentVoided", sent["VoidPayment"], `{}`)
	fmt.Println("because", state.Reason)
	// Output:
	// PurchasePlaced: RUNNING
	//   sends ReserveStock map[item:lamp purchase:17]
	//   sends AuthorisePayment map[item:lamp purchase:17]
	// PaymentAuthorised: RUNNING
	// StockRejected: COMPENSATING
	//   sends VoidPayment map[authorisation:A-1 reason:no lamps left]
	// PaymentVoided: REFUNDED
	// because no lamps left
}
