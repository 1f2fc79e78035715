// Package shed refuses orders while too many wait to be sent. An order is accepted whether Kafka is
// up or not, so nothing else bounds how many there are. For operators who would rather not accept
// what will be late.
package shed

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// countEvery is how often the backlog is counted, however many orders are placed.
	countEvery = time.Second
	// countTimeout bounds one count.
	countTimeout = 2 * time.Second
	// unknown is a backlog that could not be counted.
	unknown = -1
)

// Backlog knows about how many messages wait to be sent. It is safe for concurrent use.
type Backlog struct {
	limit int64
	count func(context.Context) (int64, error)
	log   *slog.Logger
	rows  atomic.Int64
}

// New returns a Backlog that is exceeded above limit, and never for a limit of 0. count counts.
func New(limit int64, count func(context.Context) (int64, error), log *slog.Logger) *Backlog {
	return &Backlog{limit: limit, count: count, log: log}
}

// Exceeded reports whether more wait than the limit allows.
func (b *Backlog) Exceeded() bool { return b.limit > 0 && b.rows.Load() > b.limit }

// Rows returns how many waited when they were counted last, -1 where that failed.
func (b *Backlog) Rows() int64 { return b.rows.Load() }

// Run counts until ctx ends.
func (b *Backlog) Run(ctx context.Context) error {
	if b.limit == 0 {
		<-ctx.Done()
		return nil
	}
	next := time.NewTicker(countEvery)
	defer next.Stop()
	for {
		b.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
	}
}

// look counts once. Where that fails, nothing is refused for it.
func (b *Backlog) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	was := b.Exceeded()
	rows, err := b.count(ctx)
	if err != nil {
		if b.rows.Load() != unknown {
			b.log.WarnContext(ctx, "cannot count what waits to be sent; nothing is refused for it", "error", err)
		}
		rows = unknown
	}
	b.rows.Store(rows)
	switch is := b.Exceeded(); {
	case is && !was:
		b.log.WarnContext(ctx, "refusing orders: too many messages wait to be sent", "backlog", rows, "limit", b.limit)
	case was && !is:
		b.log.InfoContext(ctx, "accepting orders again", "backlog", rows, "limit", b.limit)
	}
}
