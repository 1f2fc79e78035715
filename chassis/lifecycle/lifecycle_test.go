package lifecycle_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/chassis/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// diary notes who stopped, in order.
type diary struct {
	mu      sync.Mutex
	stopped []string
}

func (d *diary) part(name string, drain time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(drain) //nolint:forbidigo // in a synctest bubble: no time passes outside
		d.mu.Lock()
		defer d.mu.Unlock()
		d.stopped = append(d.stopped, name)
		return nil
	}
}

func TestGroup_StopsPartsOneAfterTheOtherLastFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d diary
		var g lifecycle.Group
		g.Add("pool", d.part("pool", 0))
		g.Add("consumer", d.part("consumer", 2*time.Second))
		g.Add("http", d.part("http", 3*time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.NoError(t, g.Run(ctx, quiet, time.Minute))
		require.Equal(t, []string{"http", "consumer", "pool"}, d.stopped)
	})
}

func TestGroup_APartThatFailsStopsTheOthersAndIsNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d diary
		var g lifecycle.Group
		g.Add("pool", d.part("pool", 0))
		fault := errors.New("no such topic")
		g.Add("consumer", func(context.Context) error { return fault })
		err := g.Run(t.Context(), quiet, time.Minute)
		require.ErrorIs(t, err, fault)
		require.EqualError(t, err, "consumer: no such topic")
		require.Equal(t, []string{"pool"}, d.stopped)
	})
}

func TestGroup_APartThatHangsIsNamedAndLeftBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d diary
		var g lifecycle.Group
		g.Add("hangs", d.part("hangs", time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.EqualError(t, g.Run(ctx, quiet, 20*time.Second), "hangs did not stop within 20s")
		time.Sleep(time.Hour) //nolint:forbidigo // in a bubble too, which must be empty at its end
	})
}

func TestCloser_ReleasesAtTheEnd(t *testing.T) {
	t.Parallel()
	var order []string
	var g lifecycle.Group
	g.Add("pool", lifecycle.Closer(func() { order = append(order, "pool") }))
	ctx, cancel := context.WithCancel(t.Context())
	g.Add("work", func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		order = append(order, "work")
		return nil
	})
	require.NoError(t, g.Run(ctx, quiet, time.Minute))
	require.True(t, slices.Equal([]string{"work", "pool"}, order), order)
}
