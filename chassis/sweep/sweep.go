// Package sweep removes what is no longer needed, a little at a time: idempotency keys and the
// like, whose time is over.
package sweep

import (
	"context"
	"log/slog"
	"time"
)

const (
	batch = 1000
	// pause between batches: at most 20,000 rows a second.
	pause = 50 * time.Millisecond
)

// Loop returns a part of a process that removes until there is nothing left to remove, and then
// every minute. remove removes at most so many and returns how many it did. Every instance of a
// service may run one.
func Loop(what string, log *slog.Logger, remove func(ctx context.Context, limit int) (int, error)) func(context.Context) error {
	return Every(time.Minute, what, log, remove)
}

// Every is Loop for what is looked for at another interval.
func Every(every time.Duration, what string, log *slog.Logger, remove func(ctx context.Context, limit int) (int, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		timer := time.NewTimer(every)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
			n, err := remove(ctx, batch)
			next := every
			switch {
			case err != nil && ctx.Err() == nil:
				log.WarnContext(ctx, "not swept", "what", what, "error", err)
			case n == batch:
				next = pause
			}
			timer.Reset(next)
		}
	}
}
