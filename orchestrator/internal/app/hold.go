package app

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"waybill/orchestrator/internal/poller"
	"waybill/outbox/inbox"
)

// A deadline says that no reply came. That cannot be said while replies that
// did come wait to be read, nor while the broker is away, when none can come
// and no command can leave: giving an order up then would only punish its
// client for our outage. But neither holds deadlines up for ever.
const (
	holdForBacklog = 30 * time.Second
	holdForBroker  = 15 * time.Minute
	// settle is how long after a sign of trouble its replies are still coming in.
	settle = time.Second
	// brokerTimeout bounds how long the broker may take to answer.
	brokerTimeout = 2 * time.Second
)

func hold(b *backlog, w *brokerWatch) func(time.Duration) bool {
	return func(waited time.Duration) bool {
		return b.busy() && waited < holdForBacklog || w.away() && waited < holdForBroker
	}
}

// backlog is a handler that remembers when it last had its hands full.
type backlog struct {
	*handler
	full     int          // messages that make a batch a full one
	lastFull atomic.Int64 // Unix nanoseconds
}

// Process implements kafka.Handler.
func (b *backlog) Process(ctx context.Context, batch []inbox.Delivery) error {
	if len(batch) >= b.full {
		b.lastFull.Store(time.Now().UnixNano())
	}
	return b.handler.Process(ctx, batch)
}

// busy says whether messages are probably waiting to be read.
func (b *backlog) busy() bool { return since(&b.lastFull) < settle }

// brokerWatch remembers when the broker was last found missing.
type brokerWatch struct {
	check   func(context.Context) error
	missing atomic.Int64 // Unix nanoseconds
}

func (w *brokerWatch) loop(log *slog.Logger) *poller.Loop {
	return &poller.Loop{
		Name: "broker watch", Every: brokerEvery, Batch: 1, Rate: 1, Log: log,
		Act: func(ctx context.Context, _ int) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, brokerTimeout)
			defer cancel()
			if w.check(ctx) != nil {
				w.missing.Store(time.Now().UnixNano())
			}
			return 0, nil
		},
	}
}

// away says whether the broker is missing, or was until a moment ago.
func (w *brokerWatch) away() bool { return since(&w.missing) < 2*brokerEvery+settle }

func since(t *atomic.Int64) time.Duration { return time.Since(time.Unix(0, t.Load())) }
