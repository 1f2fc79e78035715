package saga_test

import (
	"time"

	"waybill.example/sdk/saga"
)

// Trip is what the saga of a trip remembers.
type Trip struct {
	Traveller string `json:"traveller"`
	Car       bool   `json:"car"`
	Payment   string `json:"payment,omitempty"`
}

func tripCommand(c saga.Call[Trip]) (any, error) { return c.Data, nil }

// TripSaga books a hotel and, if one is wanted, a car. A manager approves the trip, the traveller
// pays elsewhere, and has an hour to think again. Then the tickets are issued and sent.
func TripSaga() (*saga.Definition, error) {
	s := saga.Define[Trip]("trip", 1)
	s.StartOn("TripPlanned", saga.From(func(t Trip) Trip { return t }))
	s.CancelOn("TripCancelRequested", 24*time.Hour, nil)
	s.Within(7*24*time.Hour, "the trip was not booked within a week")
	saga.Attribute(s, "traveller", func(t Trip) string { return t.Traveller })
	saga.Attribute(s, "paid", func(t Trip) bool { return t.Payment != "" })

	policy := saga.RetryPolicy{Timeout: 10 * time.Second, MaxAttempts: 4}

	s.Step("hotel").
		Send("BookHotel", tripCommand).To("hotel.commands.v1").
		Success("HotelBooked").
		Failure("HotelFull", nil).
		Wait(policy, "the hotel did not answer").
		Undo("CancelHotel", tripCommand, "HotelCancelled", policy)

	s.Parallel("car").
		If(func(t Trip) bool { return t.Car }).
		Send("RentCar", tripCommand).To("car.commands.v1").
		Success("CarRented").
		Wait(policy, "the car rental did not answer").
		Undo("ReturnCar", tripCommand, "CarReturned", policy)

	s.Step("approval").
		Await("TripApproved").
		Failure("TripDeclined", nil).
		Within(48*time.Hour, "nobody approved the trip").
		NoUndo("an approval changes nothing")

	s.Parallel("payment").
		AwaitKeeping("PaymentCaptured", keepPayment).
		Within(72*time.Hour, "the trip was not paid").
		Undo("RefundPayment", tripCommand, "PaymentRefunded", policy).To("payment.commands.v1")

	s.Step("reflection").
		After(time.Hour)

	s.Step("tickets").
		Send("IssueTickets", tripCommand).To("tickets.commands.v1").
		Success("TicketsIssued").
		RetryForever(policy).
		NoUndo("cancelling what was booked voids them")

	s.Step("letter").
		Tell("SendTickets", tripCommand).To("letters.commands.v1").
		NoUndo("a letter cannot be taken back")

	return s.Build()
}

func keepPayment(t *Trip, m saga.Message) (err error) {
	t.Payment, err = saga.From(func(p struct{ Payment string }) string { return p.Payment })(m)
	return err
}

// Conditions, events and approvals from outside, times, a deadline for the whole saga, commands
// that are sent and not waited for, and search attributes.
func Example_language() {
	trip, err := TripSaga()
	if err != nil {
		panic(err)
	}
	_ = trip.Mermaid() // draws it
}
