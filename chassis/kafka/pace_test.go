package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
	"waybill.example/chassis/pace"
	"waybill.example/devstack/kafkatest"
	"waybill.example/sdk/inbox"
)

// timed remembers when batches begin.
type timed struct {
	*ledger
	began []time.Time
}

func (h *timed) Process(ctx context.Context, batch []inbox.Delivery) error {
	h.set(func(*ledger) { h.began = append(h.began, time.Now()) })
	return h.ledger.Process(ctx, batch)
}

// Where messages come fast batches begin a window apart, however quick the handler is.
func TestBatchesOfMessagesThatComeFastAreSpaced(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	want := produce(t, b, 0, 500)
	h := &timed{ledger: newLedger()}
	stop := start(t, b.Addr(), h, func(o *kafka.ConsumerOptions) { o.BatchSize = 10 })
	h.await(t, "500 messages", func(l *ledger) bool { return len(l.applied) >= 500 })
	stop()
	require.Equal(t, want, h.distinct())
	took := h.began[len(h.began)-1].Sub(h.began[0])
	require.Greater(t, took, 40*pace.Window, "fifty batches")
}
