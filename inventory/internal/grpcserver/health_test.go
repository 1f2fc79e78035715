package grpcserver

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// watcher is a client's stream, which takes everything.
type watcher struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // as in every stream of gRPC
}

func (w watcher) Context() context.Context                 { return w.ctx }
func (watcher) Send(_ *healthpb.HealthCheckResponse) error { return nil }

// While nobody watches, and nobody asks, the database is not asked.
func TestHealth_LooksWhileAClientWatchesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		h := newHealthService(func(context.Context) error { looks.Add(1); return nil })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); h.run(ctx) }()
		lookedIn := func(d time.Duration) int64 {
			before := looks.Load()
			time.Sleep(d) //nolint:forbidigo // in a synctest bubble
			synctest.Wait()
			return looks.Load() - before
		}
		require.Zero(t, lookedIn(time.Hour))

		watching, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { left <- h.Watch(&healthpb.HealthCheckRequest{}, watcher{ctx: watching}) }() //nolint:contextcheck // a stream has its own
		synctest.Wait()
		require.EqualValues(t, 1, looks.Load(), "who begins to watch is answered at once")
		require.EqualValues(t, 60, lookedIn(time.Minute))
		leave()
		require.Error(t, <-left)
		require.Zero(t, lookedIn(time.Hour))

		_, err := h.Check(t.Context(), &healthpb.HealthCheckRequest{})
		require.NoError(t, err)
		require.EqualValues(t, 62, looks.Load())
		stop()
		<-ended
	})
}
