// Package poller repeats work on rows whose time has come: deadlines that have
// passed, sagas that have expired, suspended sagas whose definition is back.
//
// Several orchestrators poll the same table; each takes other rows. After an
// outage thousands of deadlines may have passed at once. They are acted on in
// bounded batches at a bounded rate.
package poller

import (
	"context"
	"log/slog"
	"time"
)

// Loop looks for work again and again. Its Run must be called once.
type Loop struct {
	Name string // for the log
	// Act does at most limit pieces of work and returns how many it found.
	Act func(ctx context.Context, limit int) (int, error)
	// Every is how often an idle loop looks.
	Every time.Duration
	// Batch and Rate bound how much is done at once, and a second.
	Batch, Rate int
	Log         *slog.Logger
}

// trouble is how long to leave a database alone that does not answer.
const trouble = time.Second

// Run works until ctx ends.
func (l *Loop) Run(ctx context.Context) error {
	timer := time.NewTimer(l.Every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		timer.Reset(l.act(ctx))
	}
}

// act does one batch and returns how long to wait for the next.
func (l *Loop) act(ctx context.Context) time.Duration {
	n, err := l.Act(ctx, l.Batch)
	switch {
	case ctx.Err() != nil:
		return l.Every
	case err != nil:
		l.Log.Warn("round failed", "work", l.Name, "error", err)
		return max(trouble, l.Every)
	case n == 0:
		return l.Every
	}
	l.Log.Debug("round done", "work", l.Name, "count", n)
	spread := time.Duration(n) * time.Second / time.Duration(l.Rate)
	if n < l.Batch {
		return max(l.Every, spread)
	}
	return spread
}
