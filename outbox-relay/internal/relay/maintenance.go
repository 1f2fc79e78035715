package relay

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"waybill.example/outbox-relay/internal/source"
)

// maintenance does what a leader does beside publishing, over a session of its own, so that none of
// it makes rows wait. It writes nothing once its term is over, since it shares the term's epoch.
type maintenance struct {
	*Source
	session   *source.Session
	from      int64 // retention has looked at everything below
	looked    time.Time
	retention pacing
	removed   bool      // the last look for old rows has found some
	began     time.Time // of the term, or of the session that replaced its first
	// restarted is when retention last began from the first id.
	restarted time.Time
	block     int64 // where retention goes on in the inbox
	lags      bool  // the retention clock is far behind, and that was logged
	vacuumed  time.Time
	vacuum    vacuum
}

// maintain runs maintenance until ctx ends, and works off replays beside it, which may take hours,
// when there are any.
func (s *Source) maintain(ctx context.Context, epoch int64, replays <-chan struct{}) {
	var jobs sync.WaitGroup
	jobs.Go(func() {
		for ctx.Err() == nil {
			s.job(ctx, epoch, func(m *maintenance) error { return m.every(ctx, s.options.Fallback, m.runMaintenance) })
		}
	})
	jobs.Go(func() {
		for {
			select {
			case <-replays:
				s.job(ctx, epoch, func(m *maintenance) error { return m.replay(ctx) })
			case <-ctx.Done():
				return
			}
		}
	})
	jobs.Wait()
}

// job runs one of the jobs of maintenance, over a session of its own. A failure is logged, and the
// job is to be done again; publishing goes on meanwhile.
func (s *Source) job(ctx context.Context, epoch int64, do func(*maintenance) error) {
	if err := s.runJob(ctx, epoch, do); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "maintenance failed; trying again", "error", err)
		pause(ctx, longestRetry)
	}
}

func (s *Source) runJob(ctx context.Context, epoch int64, do func(*maintenance) error) (err error) {
	defer safely(s.log, &err)
	session, err := source.ConnectBehind(ctx, s.fence, s.name, s.url())
	if err != nil {
		return err
	}
	defer session.Close(ctx)
	session.Join(epoch)
	// Anywhere: a relay that is started again and again would never come to the end of a large
	// inbox.
	return do(&maintenance{Source: s, session: session, block: rand.Int64(), began: time.Now(), retention: newPacing(s.options.Expire)})
}

// every does something again and again until ctx ends, or it fails.
func (m *maintenance) every(ctx context.Context, apart time.Duration, do func(context.Context) error) error {
	for ctx.Err() == nil {
		if err := do(ctx); err != nil {
			return err
		}
		pause(ctx, apart)
	}
	return nil
}

// wake lets a goroutine go on that waits on the channel.
func wake(waiter chan<- struct{}) {
	select {
	case waiter <- struct{}{}:
	default: // it is about to
	}
}

// runMaintenance measures the backlog and removes old rows, each when its time has come, and each
// whatever becomes of the others: a table that cannot be measured in time must not grow for that.
func (m *maintenance) runMaintenance(ctx context.Context) error {
	var errs []error
	if time.Since(m.looked) >= m.options.Backlog {
		m.looked = time.Now()
		errs = append(errs, m.look(ctx))
	}
	if time.Since(m.vacuumed) >= vacuumLooks*m.options.Backlog {
		m.vacuumed = time.Now()
		errs = append(errs, m.lookAtVacuum(ctx))
	}
	elapsed, due := m.retention.due()
	if !due {
		return errors.Join(errs...)
	}
	m.removed = false
	clock, err := m.clock(ctx, elapsed)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if m.options.Retention > 0 {
		errs = append(errs, m.expire(ctx, clock.Add(-m.options.Retention)))
	}
	if m.options.InboxRetention > 0 {
		errs = append(errs, m.expireInbox(ctx, clock.Add(-m.options.InboxRetention), elapsed))
	}
	m.retention.looked(m.removed)
	return errors.Join(errs...)
}

const (
	// How many times faster than time the retention clock catches up.
	catchUp = 24
	// How far it is behind when operators are alerted.
	clockLag = time.Hour
)

// clock moves the retention clock on and returns its time.
func (m *maintenance) clock(ctx context.Context, elapsed time.Duration) (time.Time, error) {
	clock, behind, err := m.session.RetentionClock(ctx, catchUp*elapsed)
	if err != nil {
		return clock, err
	}
	m.metrics.clockBehind.WithLabelValues(m.name).Set(behind.Seconds())
	if lags := behind > clockLag; lags != m.lags {
		m.lags = lags
		if lags {
			m.log.WarnContext(ctx, "the database's clock is far ahead of the retention clock: it has jumped, or no relay has led for long; rows expire by the latter, which catches up",
				"behind", behind.Round(time.Second))
		}
	}
	return clock, nil
}

// look measures the backlog.
func (m *maintenance) look(ctx context.Context) error {
	backlog, err := m.session.Backlog(ctx)
	if err != nil {
		return err
	}
	m.metrics.backlog(m.name, backlog)
	return nil
}

const (
	expireRows  = 5000
	expirePause = 10 * time.Millisecond
)

// expire removes old rows in pages, from the oldest on, until it meets one that is not old enough.
// What it had to leave (stuck or not yet published) is looked at again once it has come to the end.
func (m *maintenance) expire(ctx context.Context, before time.Time) error {
	lowest := int64(math.MaxInt64)
	for ctx.Err() == nil {
		step, err := m.session.Expire(ctx, m.from, expireRows, before)
		if err != nil {
			return err
		}
		if step.Kept > 0 {
			lowest = min(lowest, step.Kept)
		}
		m.removed = m.removed || step.Rows > 0
		m.metrics.expired.WithLabelValues(m.name).Add(float64(step.Rows))
		if !step.More {
			break
		}
		m.from = step.Last + 1
		pause(ctx, expirePause)
	}
	// Not from the first id on: dead entries of the index would have to be walked through before
	// vacuum comes.
	if m.from = lowest; time.Since(m.restarted) >= startOver || lowest == math.MaxInt64 {
		m.from, m.restarted = 0, time.Now()
	}
	if err := m.forget(ctx, before); err != nil {
		return err
	}
	return m.session.ExpireRecords(ctx, before)
}

// How often retention looks for rows that came below those it has passed.
const startOver = time.Hour

// forget forgets ids that were given up as long ago as rows are kept, and not before this process
// has led for long enough to have looked for their rows.
func (m *maintenance) forget(ctx context.Context, before time.Time) error {
	if time.Since(m.began) < min(m.options.Retention, forgetAfter) {
		return nil
	}
	return m.session.ForgetClosed(ctx, before)
}

const forgetAfter = 15 * time.Minute

const (
	inboxStep   = 128 // blocks, a MiB
	inboxSweeps = 30
)

// expireInbox goes on with looking at every block of the inbox inboxSweeps times within its
// retention, so that a row outlives its time by a thirtieth at most. What a round reads is bounded,
// and writers keep no index for it.
func (m *maintenance) expireInbox(ctx context.Context, before time.Time, elapsed time.Duration) error {
	blocks, err := m.session.InboxBlocks(ctx)
	if err != nil || blocks == 0 {
		return err
	}
	share := float64(elapsed) * inboxSweeps / float64(m.options.InboxRetention)
	left := min(blocks, max(inboxStep, int64(math.Ceil(share*float64(blocks)))))
	for left > 0 && ctx.Err() == nil {
		from := m.block % blocks
		n := min(inboxStep, left, blocks-from)
		if err := m.session.ExpireInbox(ctx, from, from+n, before); err != nil {
			return err
		}
		m.block, left = from+n, left-n
		pause(ctx, expirePause)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
