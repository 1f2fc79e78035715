package sagasim_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/sagasim"
)

// plan is the data of journeys.
type plan struct {
	Car bool `json:"car"`
}

func planned(saga.Call[plan]) (any, error) { return nil, nil }

// journey uses all of the language.
func journey(t testing.TB) []*saga.Definition {
	t.Helper()
	s := saga.Define[plan]("journey", 1)
	s.StartOn("JourneyPlanned", saga.From(func(p plan) plan { return p }))
	s.CancelOn("JourneyCancelRequested", time.Hour, nil)
	s.Within(8*time.Minute, "the journey took too long")
	saga.Attribute(s, "car", func(p plan) bool { return p.Car })
	s.Step("journey").AlreadyDone("accepted before").Undo("CancelJourney", planned, "JourneyCancelled", patient)
	s.Step("hold").Tell("HoldSeat", planned).Undo("FreeSeat", planned, "SeatFreed", patient)
	s.Step("hotel").Send("BookHotel", planned).Success("HotelBooked").Failure("HotelFull", nil).RetryLater("HotelBusy").
		Wait(twice, "the hotel did not answer").Undo("CancelHotel", planned, "HotelCancelled", patient)
	s.Parallel("car").If(func(p plan) bool { return p.Car }).Send("BookCar", planned).Success("CarBooked").
		Wait(twice, "the car rental did not answer").Undo("CancelCar", planned, "CarCancelled", patient)
	s.Step("payment").Await("PaymentCaptured").Within(2*time.Minute, "nobody paid").Undo("RefundPayment", planned, "PaymentRefunded", patient)
	s.Parallel("approval").Await("JourneyApproved").Failure("JourneyDeclined", nil).Within(time.Minute, "nobody approved").NoUndo("it changes nothing")
	s.Step("reflection").After(20 * time.Second)
	s.Step("tickets").Send("IssueTickets", planned).Success("TicketsIssued").RetryForever(patient).NoUndo("cancelling voids them")
	s.Step("letter").Tell("SendTickets", planned).NoUndo("a letter cannot be taken back")
	d, err := s.Build()
	require.NoError(t, err)
	return []*saga.Definition{d}
}

func wanted(_ string, n int) json.RawMessage {
	if n%2 == 0 {
		return json.RawMessage(`{"car":true}`)
	}
	return json.RawMessage(`{"car":false}`)
}

func runJourneys(t *testing.T, c sagasim.Config) sagasim.Result {
	t.Helper()
	c.Data = wanted
	r, err := sagasim.Run(c, 15, journey(t))
	require.NoError(t, err)
	return r
}

// Each promise holds for each element of the language, and every move that it allows is made.
func TestRun_ADefinitionThatUsesAllOfTheLanguageKeepsThePromises(t *testing.T) {
	t.Parallel()
	var coverage *sagasim.Coverage
	for seed := range uint64(150) {
		r := runJourneys(t, sagasim.Config{Seed: seed})
		if len(r.Violations) > 0 {
			r = runJourneys(t, sagasim.Config{Seed: seed, Trace: true})
			t.Fatalf("seed %d: %s\n%s", seed, strings.Join(r.Violations, "\n"), about(r, "journey/"))
		}
		if coverage == nil {
			coverage = r.Coverage
		} else {
			coverage.Add(r.Coverage)
		}
	}
	require.Empty(t, coverage.Missed())
}

func TestRun_FindsBugsInTheLanguage(t *testing.T) {
	t.Parallel()
	for _, bug := range []sagasim.Bug{sagasim.EarlyEventIsStale, sagasim.UnknownEventIsSkipped, sagasim.LateSuccessIsForgotten} {
		t.Run(string(bug), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(100) {
				if r := runJourneys(t, sagasim.Config{Seed: seed, Bug: bug}); len(r.Violations) > 0 {
					t.Logf("seed %d: %s", seed, r.Violations[0])
					return
				}
			}
			t.Fatal("no seed finds it")
		})
	}
}
