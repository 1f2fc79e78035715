package shed_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/orders/internal/shed"
)

func TestBacklog_IsCountedOncePerSecondAndNotPerOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rows, counts atomic.Int64
		b := shed.New(100, func(context.Context) (int64, error) {
			counts.Add(1)
			if n := rows.Load(); n >= 0 {
				return n, nil
			}
			return 0, errors.New("the database is down")
		}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		for _, step := range []struct {
			rows     int64
			exceeded bool
		}{{0, false}, {100, false}, {101, true}, {1_000_000, true}, {100, false}, {101, true}, {-1, false}} {
			rows.Store(step.rows)
			<-time.After(2 * time.Second)
			for range 1000 {
				require.Equal(t, step.exceeded, b.Exceeded())
			}
		}
		require.LessOrEqual(t, counts.Load(), int64(15))
		cancel()
		require.NoError(t, <-ended)
	})
}

func TestBacklog_WithoutALimitNothingIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := shed.New(0, func(context.Context) (int64, error) { panic("counted") }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.NoError(t, b.Run(ctx))
		require.False(t, b.Exceeded())
	})
}
