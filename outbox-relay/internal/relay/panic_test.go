package relay_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
	"waybill.example/outbox-relay/internal/relay"
)

// faulty is a log handler that panics at the first line with this message.
type faulty struct {
	slog.Handler
	message string
	done    *atomic.Bool
}

func (f faulty) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == f.message && f.done.CompareAndSwap(false, true) {
		panic("a fault in the relay")
	}
	return f.Handler.Handle(ctx, r)
}

func (f faulty) WithAttrs(attrs []slog.Attr) slog.Handler {
	f.Handler = f.Handler.WithAttrs(attrs)
	return f
}

// A fault of the program ends the term of one source. It starts again, and the process with its
// other sources lives on.
func TestSource_SurvivesAPanic(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	handler := faulty{slog.NewTextHandler(t.Output(), nil), "leading", &atomic.Bool{}}
	config := kafka.Config{Brokers: []string{s.broker.Addr()}, SecurityProtocol: "PLAINTEXT"}
	source := relay.NewSource("orders", s.db.URL, t.Name(), config, relay.Options{}, relay.NewMetrics(prometheus.NewRegistry()), slog.New(handler))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var done sync.WaitGroup
	done.Go(func() { _ = source.Run(ctx) })
	t.Cleanup(func() { cancel(); done.Wait() })
	s.insertMany(t, 2, 3)
	requireCounted(t, s.values(t, 6), 2, 3)
	require.True(t, handler.done.Load())
	require.EqualValues(t, 2, one[int64](t, s, `select epoch from outbox_cursor`))
}
