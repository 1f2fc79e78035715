package saga_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
)

// addressed is a trip whose commands go to the given topics: the definition's own, and the hotel's.
func addressed(t *testing.T, own, hotel string) *saga.Definition {
	t.Helper()
	command := func(saga.Call[struct{}]) (any, error) { return struct{}{}, nil }
	s := saga.Define[struct{}]("trip", 1)
	s.StartOn("TripBooked", saga.From(func(struct{}) struct{} { return struct{}{} }))
	s.CancelOn("TripCancelled", time.Hour, nil)
	s.RefuseCancel("RefuseTripCancel", command)
	if own != "" {
		s.To(own)
	}
	hotelStep := s.Step("hotel").Send("ReserveRoom", command).Success("RoomReserved").NoUndo("kept").RetryForever(hour)
	if hotel != "" {
		hotelStep.To(hotel)
	}
	s.Step("flight").Send("BookSeat", command).Success("SeatBooked").RetryForever(hour).Undo("FreeSeat", command, "SeatFreed", hour)
	def, err := s.Build()
	require.NoError(t, err)
	return def
}

func TestTo_NamesTheTopicOfEachCommand(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]string{
		"ReserveRoom": "hotel.commands.v1", "BookSeat": "trip.commands.v1", "FreeSeat": "trip.commands.v1", "RefuseTripCancel": "trip.commands.v1",
	}, addressed(t, "trip.commands.v1", "hotel.commands.v1").Topics())
	require.Equal(t, map[string]string{"ReserveRoom": "hotel.commands.v1", "BookSeat": "", "FreeSeat": "", "RefuseTripCancel": ""},
		addressed(t, "", "hotel.commands.v1").Topics())
}

func TestTo_IsInTheCommandsThatAreSent(t *testing.T) {
	t.Parallel()
	start := saga.Message{ID: uuid.New(), Type: "TripBooked", Key: "1", Data: json.RawMessage("{}")}
	d, err := addressed(t, "trip.commands.v1", "hotel.commands.v1").Apply(saga.State{}, start, time.Unix(1, 0))
	require.NoError(t, err)
	require.Len(t, d.Commands, 1)
	require.Equal(t, "hotel.commands.v1", d.Commands[0].Topic)
}

// Where a participant listens is not part of what a saga is: a topic can change, or come to be
// named, without a new version.
func TestFingerprint_DoesNotDependOnTopics(t *testing.T) {
	t.Parallel()
	require.Equal(t, addressed(t, "", "").Fingerprint(), addressed(t, "trip.commands.v1", "hotel.commands.v1").Fingerprint())
}

var hour = saga.RetryPolicy{Timeout: time.Hour, MaxAttempts: 3}
