package relay

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/pace"
)

var calm = surroundings{
	batchRows: 4000, pollMin: time.Millisecond, pollMax: 10 * time.Millisecond, quiet: 10 * time.Millisecond,
	fallback: 500 * time.Millisecond, writersNotify: true,
}

// Polls that find nothing come ever later, until the relay asks to be notified.
func TestWakeup_FallsAsleepWhenNothingComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := wakeup{pause: time.Millisecond, lastFound: time.Now()}
		var pauses []time.Duration
		for w.found(0, calm, time.Now()) == stay {
			pauses = append(pauses, time.Until(w.next))
			<-time.After(time.Until(w.next))
		}
		require.Equal(t, []time.Duration{2 * time.Millisecond, 4 * time.Millisecond, 8 * time.Millisecond}, pauses)
		w.slept()
		require.True(t, w.next.IsZero(), "it reads once more at once")
		require.Equal(t, stay, w.found(0, calm, time.Now()))
		require.Equal(t, calm.fallback, time.Until(w.next))
	})
}

func TestWakeup_StaysAwakeWhileRowsAreInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := wakeup{pause: time.Millisecond}
		busy := calm
		busy.inFlight = true
		require.Equal(t, stay, w.found(0, busy, time.Now()))
		require.Equal(t, goToSleep, w.found(0, calm, time.Now()))
	})
}

// Single rows are worth a notification each; a steady stream of them is worth polling, a window
// apart.
func TestWakeup_SleepsThroughSingleRowsAndWakesUpForMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := wakeup{sleeping: true, pause: calm.fallback}
		for range 100 {
			<-time.After(time.Second / (pace.Rate / 2))
			require.Equal(t, stay, w.found(1, calm, time.Now()))
		}
		require.Equal(t, calm.fallback, time.Until(w.next))
		reads := 0
		for w.found(1, calm, time.Now()) == stay {
			reads++
			<-time.After(time.Second / (2 * pace.Rate))
		}
		require.Greater(t, reads, 10, "a short burst is no stream")
		w.sleeping = false
		require.False(t, w.quiet(time.Now()))
		require.Equal(t, pace.Window, time.Until(w.next))
		require.Equal(t, stay, w.found(0, calm, time.Now()))
		require.Equal(t, pace.Window, time.Until(w.next), "it does not look between two windows either")

		w = wakeup{sleeping: true, pause: calm.fallback}
		require.Equal(t, wakeUp, w.found(calm.batchRows, calm, time.Now()))
		require.True(t, w.next.IsZero(), "a full batch is followed by the next at once")
		w.slept()
		<-time.After(2 * quietPeriod)
		require.True(t, w.quiet(time.Now()))
	})
}

// A stream that pauses between two batches of its writers is still one.
func TestWakeup_StaysAwakeBetweenTheBatchesOfAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := wakeup{sleeping: true, pause: calm.fallback}
		require.Equal(t, wakeUp, w.found(50, calm, time.Now()))
		for began := time.Now(); time.Since(began) < 5*calm.quiet; {
			<-time.After(pace.Window)
			require.Equal(t, stay, w.found(0, calm, time.Now()))
		}
		<-time.After(time.Second)
		require.Equal(t, goToSleep, w.found(0, calm, time.Now()))
	})
}

func TestWakeup_LooksOftenWhereNobodyNotifies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := wakeup{sleeping: true, pause: calm.pollMin}
		alone := calm
		alone.writersNotify = false
		for range 20 {
			w.found(0, alone, time.Now())
		}
		require.Equal(t, unnotified, time.Until(w.next))
		alone.stalled = true
		w = wakeup{}
		w.found(1, alone, time.Now())
		require.Equal(t, stalledPause, time.Until(w.next), "no row of these is urgent")
	})
}
