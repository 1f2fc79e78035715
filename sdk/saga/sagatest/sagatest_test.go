package sagatest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/sagatest"
)

type trip struct {
	Car bool `json:"car"`
}

func tripSaga(t testing.TB) *saga.Definition {
	t.Helper()
	body := func(c saga.Call[trip]) (any, error) { return c.Data, nil }
	policy := saga.RetryPolicy{Timeout: 10 * time.Second, MaxAttempts: 2, Jitter: -1}
	s := saga.Define[trip]("trip", 1)
	s.StartOn("TripPlanned", saga.From(func(t trip) trip { return t }))
	s.Ends("BOOKED", "CANCELLED")
	saga.Attribute(s, "car", func(t trip) bool { return t.Car })
	s.Step("hotel").Send("BookHotel", body).Success("HotelBooked").Failure("HotelFull", nil).
		Wait(policy, "the hotel did not answer").Undo("CancelHotel", body, "HotelCancelled", policy)
	s.Step("car").If(func(t trip) bool { return t.Car }).Send("RentCar", body).Success("CarRented").
		Wait(policy, "the car rental did not answer").Undo("ReturnCar", body, "CarReturned", policy)
	s.Step("approval").Await("TripApproved").Failure("TripDeclined", nil).
		Within(time.Hour, "nobody approved the trip").NoUndo("an approval changes nothing")
	d, err := s.Build()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTrip_ThatNobodyApprovesIsUndoneInReverseOrder(t *testing.T) {
	t.Parallel()
	s := sagatest.Start(t, tripSaga(t), trip{Car: true})
	s.Reply("BookHotel", "HotelBooked", nil).Sends("RentCar")
	s.SkipToDeadline().Sends("RentCar") // the car rental did not answer: it is asked again
	s.Reply("RentCar", "CarRented", nil).SendsNothing()

	s.Skip(59 * time.Minute).SendsNothing()
	s.Skip(time.Minute).Sends("ReturnCar")
	s.Because("nobody approved the trip")
	s.Reply("ReturnCar", "CarReturned", nil).Sends("CancelHotel")
	s.Reply("CancelHotel", "HotelCancelled", nil).SendsNothing()

	s.Is("CANCELLED")
	s.Sent("BookHotel", "RentCar", "RentCar", "ReturnCar", "CancelHotel")
}

// fake is a test that fails without failing this one.
type fake struct {
	testing.TB
	failed string
}

func (*fake) Helper() {}

func (f *fake) Fatalf(format string, args ...any) {
	f.failed = fmt.Sprintf(format, args...)
	panic(f)
}

// failure is the text that a test would fail with; empty if it would pass.
func failure(t *testing.T, do func(s *sagatest.Saga)) (text string) {
	t.Helper()
	f := &fake{TB: t}
	defer func() {
		if what := recover(); what != nil && what != any(f) {
			panic(what)
		}
		text = f.failed
	}()
	do(sagatest.Start(f, tripSaga(t), trip{}))
	return ""
}

// Each assertion can fail, and says what happened instead.
func TestSaga_WhatIsWrongFailsTheTest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(s *sagatest.Saga)
		want string
	}{
		"another state":      {func(s *sagatest.Saga) { s.Is("BOOKED") }, "the saga is RUNNING, not BOOKED"},
		"another sequence":   {func(s *sagatest.Saga) { s.Sent("BookHotel", "RentCar") }, "the saga has sent\n\tBookHotel\nnot\n\tBookHotel, RentCar"},
		"another outcome":    {func(s *sagatest.Saga) { s.Reply("BookHotel", "HotelBooked", nil).Sends("RentCar") }, "that sends nothing, not RentCar"},
		"something is sent":  {func(s *sagatest.Saga) { s.SkipToDeadline().SendsNothing() }, "that sends BookHotel, not nothing"},
		"another reason":     {func(s *sagatest.Saga) { s.Reply("BookHotel", "HotelFull", nil); s.Because("full") }, `the saga's reason is "hotel was refused", not "full"`},
		"another status":     {func(s *sagatest.Saga) { s.Step("hotel", saga.Done) }, `the step hotel is "waiting", not "done"`},
		"an unknown step":    {func(s *sagatest.Saga) { s.Step("train", saga.Done) }, `has no step "train"`},
		"no such command":    {func(s *sagatest.Saga) { s.Reply("RentCar", "CarRented", nil) }, "CarRented answers RentCar, which was not sent"},
		"a refused input":    {func(s *sagatest.Saga) { s.Input(saga.RetryNow{Step: "car"}) }, "the engine refuses"},
		"an accepted input":  {func(s *sagatest.Saga) { s.Refuses(saga.RetryNow{}, saga.ErrEnded) }, "with the error <nil>"},
		"a body that is not": {func(s *sagatest.Saga) { s.Event("TripApproved", func() {}) }, "encode the body of TripApproved"},
		"no deadline": {func(s *sagatest.Saga) {
			s.Reply("BookHotel", "HotelFull", nil)
			s.SkipToDeadline()
		}, "the saga is CANCELLED and has no deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := failure(t, c.do); !strings.Contains(got, c.want) {
				t.Errorf("fails with %q, not with %q", got, c.want)
			}
		})
	}
}

func TestSaga_CanBePutBack(t *testing.T) {
	t.Parallel()
	s := sagatest.Start(t, tripSaga(t), trip{Car: true})
	if got := s.Attributes()["car"]; got != "true" {
		t.Errorf("the attribute car is %q", got)
	}
	backup := s.State()
	s.Reply("BookHotel", "HotelBooked", nil).Sends("RentCar")
	s.Restore(backup)
	s.Step("hotel", saga.Waiting)
	s.Reply("RentCar", "CarRented", nil).SendsNothing()
	s.Step("car", saga.Done)
}
