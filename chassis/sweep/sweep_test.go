package sweep_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/sweep"
)

func TestLoop_RemovesAllThereIsAndGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		left, asked := 2500, 0
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- sweep.Loop("keys", slog.New(slog.DiscardHandler), func(_ context.Context, limit int) (int, error) {
				if asked++; asked == 1 {
					return 0, errors.New("the database is unavailable")
				}
				n := min(limit, left)
				left -= n
				return n, nil
			})(ctx)
		}()
		time.Sleep(2*time.Minute + time.Second) //nolint:forbidigo // in a synctest bubble
		stop()
		require.NoError(t, <-ended)
		require.Zero(t, left)
		require.Equal(t, 4, asked, "an error, two full batches and the rest")
	})
}

func TestEvery_RemovesAtAnIntervalOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Hour+time.Minute)
		defer stop()
		var asked []time.Duration
		began := time.Now()
		require.NoError(t, sweep.Every(time.Hour, "blobs", slog.New(slog.DiscardHandler), func(context.Context, int) (int, error) {
			asked = append(asked, time.Since(began)/time.Hour)
			return 0, errors.New("the store is unavailable")
		})(ctx))
		require.Equal(t, []time.Duration{1, 2, 3}, asked)
	})
}
