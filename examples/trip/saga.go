// Package trip is a saga of a travel agency: a hotel and a flight are booked at the same time, then
// a car if one is wanted, and then it is paid. Whatever cannot be had takes back all that was.
//
// It is written as somebody outside of Waybill's repository would write it: a module of its own,
// that imports public packages only. See README.md.
package trip

import (
	"time"

	"waybill.example/sdk/saga"
)

// Trip is what a traveller asks for, what the event TripRequested says, and what the saga
// remembers.
type Trip struct {
	Traveller string `json:"traveller"`
	City      string `json:"city"`
	Nights    int    `json:"nights"`
	Car       string `json:"car,omitempty"` // its class; empty: none is wanted
	Card      string `json:"card"`
	Cents     int64  `json:"cents"`
}

// Topics of the agency.
const (
	TopicTrips          = "trips.v1"
	TopicHotel          = "hotel.v1"
	TopicHotelCommands  = "hotel.commands.v1"
	TopicFlight         = "flight.v1"
	TopicFlightCommands = "flight.commands.v1"
	TopicCar            = "car.v1"
	TopicCarCommands    = "car.commands.v1"
	TopicBank           = "bank.v1"
	TopicBankCommands   = "bank.commands.v1"
)

// Saga is the definition. Each step names the topic of its participant.
func Saga() (*saga.Definition, error) {
	s := saga.Define[Trip]("trip", 1)
	s.StartOn("TripRequested", saga.From(func(t Trip) Trip { return t }))
	s.CancelOn("TripCancelRequested", 24*time.Hour, nil)
	s.Ends("BOOKED", "CANCELLED")

	retry := saga.RetryPolicy{Timeout: 10 * time.Second, MaxAttempts: 4}

	s.Step("hotel").To(TopicHotelCommands).
		Send("ReserveRoom", body).
		Success("RoomReserved").
		Failure("RoomRefused", reason).
		Wait(retry, "the hotel did not answer").
		Undo("ReleaseRoom", nothing, "RoomReleased", retry)

	s.Parallel("flight").To(TopicFlightCommands).
		Send("BookSeat", body).
		Success("SeatBooked").
		Failure("SeatRefused", reason).
		Wait(retry, "the airline did not answer").
		Undo("CancelSeat", nothing, "SeatCancelled", retry)

	s.Step("car").To(TopicCarCommands).
		If(func(t Trip) bool { return t.Car != "" }).
		Send("RentCar", car).
		Success("CarRented").
		Failure("CarRefused", reason).
		Wait(retry, "the car rental did not answer").
		Undo("ReturnCar", nothing, "CarReturned", retry)

	s.Step("payment").To(TopicBankCommands).
		Send("TakePayment", body).
		Success("PaymentTaken").
		Failure("PaymentDeclined", reason).
		Wait(retry, "the bank did not answer").
		Undo("RefundPayment", nothing, "PaymentRefunded", retry)

	return s.Build()
}

// body is a command that says all about the trip; participants read what they need.
func body(c saga.Call[Trip]) (any, error) { return c.Data, nil }

// car is what the car rental has to know.
func car(c saga.Call[Trip]) (any, error) { return map[string]string{"class": c.Data.Car}, nil }

// nothing is the body of an undo: participants know what they have done for a saga.
func nothing(saga.Call[Trip]) (any, error) { return struct{}{}, nil }

// reason is what a participant of the kit says when it refuses.
var reason = saga.From(func(r struct{ Reason string }) string { return r.Reason })
