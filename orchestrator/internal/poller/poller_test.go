package poller_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/orchestrator/internal/poller"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run lets a loop work for a while of virtual time.
func run(t *testing.T, l poller.Loop, d time.Duration) {
	t.Helper()
	l.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	require.NoError(t, l.Run(ctx))
}

// After a long outage ten thousand deadlines have passed. They are acted on in
// batches of at most 200, and never more than 500 in any second.
func TestDeadlinesThatPassedInAnOutageAreSpreadAndBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		left, began := 10_000, time.Now()
		var finished time.Duration
		perSecond := map[int]int{}
		act := func(_ context.Context, limit int) (int, error) {
			require.LessOrEqual(t, limit, 200)
			n := min(limit, left)
			left -= n
			perSecond[int(time.Since(began)/time.Second)] += n
			if left == 0 && finished == 0 {
				finished = time.Since(began)
			}
			return n, nil
		}
		run(t, poller.Loop{Act: act, Every: 200 * time.Millisecond, Batch: 200, Rate: 500}, time.Minute)
		require.Zero(t, left)
		require.InDelta(t, 20, finished.Seconds(), 1)
		for second, n := range perSecond {
			require.LessOrEqual(t, n, 700, "second %d", second) // a batch may straddle two seconds
		}
	})
}

func TestADatabaseThatFailsIsLeftAloneForASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		act := func(context.Context, int) (int, error) { calls++; return 0, errors.New("away") }
		run(t, poller.Loop{Act: act, Every: 10 * time.Millisecond, Batch: 1, Rate: 1}, 10*time.Second)
		require.InDelta(t, 10, calls, 1)
	})
}
