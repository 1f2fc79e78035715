package runner

import (
	"context"
	"log/slog"
	"time"

	"waybill.example/sdk/internal/setup"
)

// loop looks for work again and again: deadlines that have passed, sagas that have expired,
// suspended sagas whose definition is back. Several processes poll the same table; each takes other
// rows. After an outage thousands of deadlines may have passed at once: they are acted on in
// bounded batches at a bounded rate.
type loop struct {
	name string // for the log
	// act does at most limit pieces of work and returns how many it found.
	act func(ctx context.Context, limit int) (int, error)
	// every is how often an idle loop looks, if it does not rest.
	every time.Duration
	// rest, if set, has the loop look less often while nothing is to be expected.
	rest *rest
	// batch and rate bound how much is done at once, and per second.
	batch, rate int
	log         *slog.Logger
}

// retryAfter is how long to leave a database alone that does not answer.
const retryAfter = time.Second

// run works until ctx ends.
func (l *loop) run(ctx context.Context) {
	for pause := l.every; l.wait(ctx, pause); pause = l.round(ctx) {
	}
}

// wait returns false when ctx ends.
func (l *loop) wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var disturbed <-chan struct{}
	if l.rest != nil && pause > l.every {
		disturbed = l.rest.disturbed
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-disturbed:
		return l.wait(ctx, l.every)
	}
}

// round does one batch and returns how long to wait for the next.
func (l *loop) round(ctx context.Context) time.Duration {
	l.rest.begin()
	n, err := l.act(ctx, l.batch)
	switch {
	case ctx.Err() != nil:
		return l.every
	case err != nil:
		l.log.WarnContext(ctx, "round failed", "work", l.name, "error", setup.Explain(err))
		return max(retryAfter, l.every)
	case n == 0:
		return l.rest.after(l.every)
	}
	l.log.DebugContext(ctx, "round done", "work", l.name, "count", n)
	spread := time.Duration(n) * time.Second / time.Duration(l.rate)
	if n < l.batch {
		return max(l.every, spread)
	}
	return spread
}
