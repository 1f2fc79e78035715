package relay

import (
	"context"
	"time"

	"waybill/outbox-relay/internal/source"
)

// keeper does what a leader does beside publishing, over a session of its own, so that none of it makes rows wait:
// retention, replays, and a look at the backlog for the metrics. It writes nothing once its term is over, since it
// shares the term's epoch.
type keeper struct {
	*Source
	session *source.Session
	from    int64 // retention has looked at everything below
}

// keep works until ctx ends. Failures are told and tried again; publishing goes on meanwhile.
func (s *Source) keep(ctx context.Context, epoch int64) {
	for ctx.Err() == nil {
		err := s.keepOnce(ctx, epoch)
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("housekeeping failed; trying again", "error", err)
		pause(ctx, longestRetry)
	}
}

func (s *Source) keepOnce(ctx context.Context, epoch int64) error {
	session, err := source.Connect(ctx, s.name, s.dsn)
	if err != nil {
		return err
	}
	defer session.Close(ctx)
	session.Join(epoch)
	k := &keeper{Source: s, session: session}
	var looked, expired time.Time
	for ctx.Err() == nil {
		if time.Since(looked) >= s.options.Backlog {
			looked = time.Now()
			if err := k.look(ctx); err != nil {
				return err
			}
		}
		if s.options.Retention > 0 && time.Since(expired) >= s.options.Expire {
			expired = time.Now()
			if err := k.expire(ctx); err != nil {
				return err
			}
		}
		if err := k.replay(ctx); err != nil {
			return err
		}
		pause(ctx, s.options.Fallback)
	}
	return nil
}

// look measures the backlog.
func (k *keeper) look(ctx context.Context) error {
	backlog, err := k.session.Backlog(ctx)
	if err != nil {
		return err
	}
	k.metrics.backlog(k.name, backlog)
	return nil
}

const (
	expireRows  = 5000
	expirePause = 10 * time.Millisecond
)

// expire removes old rows in pages, from the oldest on, until it meets one that is not old enough. What it had to
// leave (stuck or not yet published) is looked at again once it has come to the end.
func (k *keeper) expire(ctx context.Context) error {
	var removed int64
	for ctx.Err() == nil {
		step, err := k.session.Expire(ctx, k.from, expireRows, k.options.Retention)
		if err != nil {
			return err
		}
		removed += step.Rows
		k.metrics.expired.WithLabelValues(k.name).Add(float64(step.Rows))
		if !step.More {
			break
		}
		k.from = step.Last + 1
		pause(ctx, expirePause)
	}
	if removed == 0 {
		k.from = 0
	}
	return k.session.ExpireRecords(ctx, k.options.Retention)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
