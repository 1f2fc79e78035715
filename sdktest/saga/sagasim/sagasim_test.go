package sagasim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/sagasim"
)

var (
	twice   = saga.RetryPolicy{Timeout: 5 * time.Second, MaxAttempts: 2}
	patient = saga.RetryPolicy{Timeout: 5 * time.Second, MaxAttempts: 8, MaxInterval: 20 * time.Second}
)

// nothing is the data of a saga that needs none: it is stored as null.
type nothing map[string]any

func body(saga.Call[nothing]) (any, error) { return nil, nil }

// trip books a hotel beside a flight, and then pays; what was asked for before is given back last,
// or, with givenLast, stands behind the booking.
func trip(t testing.TB, version int, start string, givenLast bool) *saga.Definition {
	t.Helper()
	s := saga.Define[nothing]("trip", version)
	s.StartOn(start, saga.From(func(nothing) nothing { return nil }))
	s.CancelOn("TripCancelRequested", time.Hour, nil)
	s.RefuseCancel("RefuseTripCancel", body)
	given := func() {
		s.Step("trip").AlreadyDone("accepted before").Undo("CancelTrip", body, "TripCancelled", patient)
	}
	if !givenLast {
		given()
	}
	s.Step("hotel").Send("BookHotel", body).Success("HotelBooked").Failure("HotelFull", nil).RetryLater("HotelBusy").
		Wait(twice, "the hotel did not answer").Undo("CancelHotel", body, "HotelCancelled", patient)
	s.Parallel("flight").Send("BookFlight", body).Success("FlightBooked").Failure("FlightFull", nil).
		Wait(twice, "the airline did not answer").Undo("CancelFlight", body, "FlightCancelled", patient)
	if givenLast {
		given()
	}
	s.Step("pay").Send("Pay", body).Success("Paid").RetryForever(patient).NoUndo("cancelling what was booked pays it back")
	d, err := s.Build()
	require.NoError(t, err)
	return d
}

// find runs seeds until one breaks a promise.
func find(t *testing.T, bug sagasim.Bug, seeds uint64, releases ...[]*saga.Definition) (sagasim.Result, bool) {
	t.Helper()
	for seed := range seeds {
		r, err := sagasim.Run(sagasim.Config{Seed: seed, Bug: bug}, 15, releases...)
		require.NoError(t, err)
		if len(r.Violations) > 0 {
			r, err = sagasim.Run(sagasim.Config{Seed: seed, Bug: bug, Trace: true}, 15, releases...)
			require.NoError(t, err)
			return r, true
		}
	}
	return sagasim.Result{}, false
}

// about keeps the lines of a trace that are about the saga of the first violation.
func about(r sagasim.Result, definition string) string {
	_, rest, _ := strings.Cut(r.Violations[0], definition)
	id, _, _ := strings.Cut(rest, ":")
	var lines []string
	for _, line := range r.Trace {
		if strings.Contains(line, definition+id+":") || strings.HasSuffix(strings.Split(line+":", ":")[0], "of "+id) || !strings.Contains(line, " of ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// releases are what is deployed in turn while the sagas run.
func releases(t *testing.T, start string) [][]*saga.Definition {
	t.Helper()
	v1 := trip(t, 1, "TripPlanned", false)
	return [][]*saga.Definition{{v1}, {v1, trip(t, 2, start, true)}}
}

func TestRun_AnybodysDefinitionKeepsThePromises(t *testing.T) {
	t.Parallel()
	for _, start := range []string{"TripPlanned", "TripOrdered"} {
		r, found := find(t, sagasim.NoBug, 100, releases(t, start)...)
		if found {
			t.Fatalf("seed %d: %s\n%s", r.Seed, strings.Join(r.Violations, "\n"), about(r, "trip/"))
		}
	}
}

// A checker that cannot fail proves nothing.
func TestRun_FindsEachPlantedBug(t *testing.T) {
	t.Parallel()
	for _, bug := range sagasim.Bugs() {
		// Coincidences that the order flow's simulation has; and trips await no events.
		if slices.Contains([]sagasim.Bug{sagasim.PositionGoesBack, sagasim.EarlyReplyIsLost, sagasim.EarlyEventIsStale, sagasim.UnknownEventIsSkipped}, bug) {
			continue
		}
		t.Run(string(bug), func(t *testing.T) {
			t.Parallel()
			start := "TripPlanned"
			if bug == sagasim.OldStartIsLost {
				start = "TripOrdered"
			}
			r, found := find(t, bug, 500, releases(t, start)...)
			require.True(t, found)
			t.Logf("seed %d: %s", r.Seed, r.Violations[0])
		})
	}
}

func TestRun_ASeedReproducesItsRun(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		c := sagasim.Config{Seed: seed, Trace: true}
		first, err := sagasim.Run(c, 15, releases(t, "TripPlanned")...)
		require.NoError(t, err)
		again, err := sagasim.Run(c, 15, releases(t, "TripPlanned")...)
		require.NoError(t, err)
		require.Equal(t, first.Trace, again.Trace)
	}
}

func TestCoverage_SaysWhichMovesNoRunHasMade(t *testing.T) {
	t.Parallel()
	one, err := sagasim.Run(sagasim.Config{Seed: 1}, 1, releases(t, "TripPlanned")...)
	require.NoError(t, err)
	require.Contains(t, one.Coverage.Missed(), "trip v1: COMPENSATING → COMPENSATION_STUCK")

	for seed := range uint64(300) {
		r, err := sagasim.Run(sagasim.Config{Seed: seed}, 15, releases(t, "TripPlanned")...)
		require.NoError(t, err)
		one.Coverage.Add(r.Coverage)
	}
	require.Empty(t, one.Coverage.Missed())
	require.NotEmpty(t, one.Coverage.Taken())
}
