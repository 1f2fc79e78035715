package app

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// While the broker is away no deadline is acted on, for a quarter of an hour;
// and for a moment after it is back, when the replies that waited come in.
func TestDeadlinesAreHeldUpWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		w := &brokerWatch{check: func(context.Context) error {
			if gone.Load() {
				return errors.New("no broker answers")
			}
			return nil
		}}
		held := hold(&backlog{full: 1}, w)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.loop(slog.New(slog.DiscardHandler)).Run(ctx) }()
		after := func(d time.Duration) { //nolint:thelper // not a helper: virtual time passes
			time.Sleep(d) //nolint:forbidigo // in a bubble, where it takes no time
			synctest.Wait()
		}
		after(time.Minute)
		require.False(t, held(0))
		gone.Store(true)
		after(brokerEvery)
		require.True(t, held(0))
		require.True(t, held(14*time.Minute))
		require.False(t, held(15*time.Minute), "not for ever")
		gone.Store(false)
		after(brokerEvery)
		require.True(t, held(0), "replies are coming in")
		after(brokerEvery + 2*settle)
		require.False(t, held(0))
		cancel()
		require.NoError(t, <-done)
	})
}
