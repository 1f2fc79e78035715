package saga_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
)

// A cancellation that comes first belongs to the newest version until the start comes, which may be
// that of an older one. That the newest is rolled back meanwhile, or away, must not lose the start.
func TestRegistry_AStartThatIsHeldForAnEarlyCancellationIsNotLost(t *testing.T) {
	t.Parallel()
	cancelled := func(s *saga.Builder[purchase]) { s.CancelOn("GiftCancelled", time.Hour, nil) }
	v1, v2 := gift(t, 1, "GiftOrdered", cancelled), gift(t, 2, "GiftPlaced", cancelled)
	both, old, none := registry(t, v1, v2), registry(t, v1), registry(t)
	now := time.Now()
	early := last2(t, both, saga.State{}, message("GiftCancelled"), now).State
	require.Equal(t, 2, early.Version)
	require.Equal(t, saga.AwaitingStart, early.Phase)

	suspended := last2(t, old, early, saga.Due{}, now.Add(time.Hour)).State
	require.Equal(t, saga.Suspended, suspended.Phase)
	start := message("GiftOrdered")
	for name, state := range map[string]saga.State{
		"started where the older version is known": last2(t, old, suspended, start, now).State,
		"held, and started later":                  last2(t, both, last2(t, none, suspended, start, now).State, saga.Due{}, now).State,
	} {
		require.Equal(t, start.ID, state.StartID, name)
		require.Equal(t, 1, state.Version, name)
		require.Equal(t, saga.Cancelled, state.Phase, name)
		require.Empty(t, state.Held, name)
	}
}
