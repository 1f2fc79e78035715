package runner_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/sdk/saga/runner/inspect"
)

// What happened to the newest sagas of a version is counted; those of others are not.
func TestCoverage_CountsWhatReallyHappened(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	for id := range int64(3) {
		out := apply(t, s, start.Add(time.Duration(id)*time.Second), created(t, id+1))
		if id > 0 {
			apply(t, s, start.Add(time.Minute), message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(id+1, out[0].EventID, start), Reserved: true}))
		}
	}
	d, ok := s.Runner.Registry().Definition("order", 0)
	require.True(t, ok)
	c, err := s.Coverage(t.Context(), d, 100)
	require.NoError(t, err)
	require.EqualValues(t, 3, c.Sagas)
	require.True(t, start.Equal(*c.Since))
	require.Equal(t, []inspect.Happened{
		{Kind: "started", CauseType: "OrderCreated", To: "RUNNING", Count: 3},
		{Kind: "replied", Step: "reserve", CauseType: "InventoryReserved", From: "RUNNING", To: "RUNNING", Count: 2},
	}, c.Transitions)
	require.Equal(t, []inspect.SentCommands{{Step: "confirm", Count: 2}, {Step: "reserve", Count: 3}}, c.Sent)
	c, err = s.Coverage(t.Context(), d, 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, c.Sagas)
}
