// Package deadlines wakes sagas whose time has come.
//
// Several orchestrators poll the same table; each takes other sagas. After an
// outage thousands of deadlines may have passed at once. They are acted on in
// bounded batches at a bounded rate, and not while replies wait to be read: a
// deadline says that no reply came, and that is not known before the replies
// that did come have been looked at.
package deadlines

import (
	"context"
	"log/slog"
	"time"
)

// Poller acts on deadlines that have passed. Run it once.
type Poller struct {
	// Act acts on at most limit deadlines and returns how many it found.
	Act func(ctx context.Context, limit int) (int, error)
	// Busy, if set, says that replies are waiting to be read.
	Busy func() bool
	// Every is how often an idle poller looks.
	Every time.Duration
	// Batch and Rate bound how many deadlines are acted on at once, and a second.
	Batch, Rate int
	Log         *slog.Logger
}

const (
	// patience bounds how long a consumer that is always busy can hold deadlines up.
	patience = 30 * time.Second
	// trouble is how long to leave a database alone that does not answer.
	trouble = time.Second
)

// Run polls until ctx ends.
func (p *Poller) Run(ctx context.Context) error {
	timer := time.NewTimer(p.Every)
	defer timer.Stop()
	var held time.Duration
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if p.Busy != nil && p.Busy() && held < patience {
			held += p.Every
			timer.Reset(p.Every)
			continue
		}
		held = 0
		timer.Reset(p.act(ctx))
	}
}

// act takes one batch and returns how long to wait for the next.
func (p *Poller) act(ctx context.Context) time.Duration {
	n, err := p.Act(ctx, p.Batch)
	switch {
	case ctx.Err() != nil:
		return p.Every
	case err != nil:
		p.Log.Warn("deadlines could not be acted on", "error", err)
		return trouble
	case n == 0:
		return p.Every
	}
	p.Log.Debug("acted on deadlines", "sagas", n)
	spread := time.Duration(n) * time.Second / time.Duration(p.Rate)
	if n < p.Batch {
		return max(p.Every, spread)
	}
	return spread
}
