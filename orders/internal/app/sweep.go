package app

import (
	"context"
	"log/slog"
	"time"

	orderspg "waybill/orders/internal/postgres"
)

// sweeper removes idempotency keys whose time is over. Every instance does; they do not get into each
// other's way.
type sweeper struct {
	store *orderspg.Store
	after time.Duration
	log   *slog.Logger
}

const (
	sweepEvery = time.Minute
	sweepBatch = 1000
	sweepPause = 50 * time.Millisecond // between batches: at most 20,000 keys a second
)

func (s sweeper) run(ctx context.Context) error {
	timer := time.NewTimer(sweepEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		n, err := s.store.ForgetKeys(ctx, s.after, sweepBatch)
		pause := sweepEvery
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.WarnContext(ctx, "idempotency keys not swept", "error", err)
		case n == sweepBatch:
			pause = sweepPause
		}
		timer.Reset(pause)
	}
}
