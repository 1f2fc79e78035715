package pace_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/pace"
)

// run has things come at a steady rate for a second, taken as Wait says, and returns how many
// batches there were and the longest that a thing has waited.
func run(rate int) (batches int, longest time.Duration) {
	var p pace.Pace
	apart := time.Second / time.Duration(rate)
	var free time.Time
	var waiting []time.Time
	for at := time.Unix(0, 0); at.Before(time.Unix(1, 0)); at = at.Add(apart) {
		if len(waiting) > 0 && !free.After(at) {
			longest = max(longest, free.Sub(waiting[0]))
			p.Began(len(waiting), free)
			batches, waiting = batches+1, nil
		}
		waiting = append(waiting, at)
		free = at.Add(max(0, p.Wait(at)))
	}
	return batches, longest
}

func TestPace_ThingsThatComeSeldomDoNotWait(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{1, 10, 50, 100} {
		batches, longest := run(rate)
		require.Equal(t, rate-1, batches)
		require.Zero(t, longest)
	}
}

func TestPace_ThingsThatComeFastShareBatchesAndWaitForAWindowAtMost(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{500, 1000, 5000} {
		batches, longest := run(rate)
		require.Less(t, batches, int(time.Second/pace.Window)*5/4)
		require.LessOrEqual(t, longest, pace.Window)
		require.Positive(t, longest)
	}
}

func TestPace_ForgetsABurst(t *testing.T) {
	t.Parallel()
	var p pace.Pace
	now := time.Unix(0, 0)
	require.False(t, p.Busy(now))
	require.LessOrEqual(t, p.Wait(now), time.Duration(0))
	p.Began(500, now)
	require.True(t, p.Busy(now))
	require.Equal(t, pace.Window, p.Wait(now))
	require.LessOrEqual(t, p.Wait(now.Add(pace.Window)), time.Duration(0))
	require.False(t, p.Busy(now.Add(time.Second)))
}
