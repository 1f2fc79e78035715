package relay

import (
	"context"
	"time"
)

// watchGaps looks from time to time at which transactions could still fill the gaps.
func (l *loop) watchGaps(ctx context.Context) error {
	now := time.Now()
	if now.Sub(l.gaps.looked) < lookEvery {
		return nil
	}
	l.gaps.looked = now
	count := l.handled.CountGaps()
	l.gapCount.Set(float64(count))
	l.inFlight.Set(float64(l.rows))
	if count == 0 {
		l.gaps = gaps{looked: now, sorted: l.handled.End()}
		return nil
	}
	horizon, err := l.session.Horizon(ctx)
	if err != nil {
		return err
	}
	if horizon.Allocated+1 < l.gaps.sorted {
		l.verified = time.Time{} // the sequence went back
	}
	l.gaps.look(l.handled, horizon, now, l.options.GapGrace)
	return nil
}

// closeGaps gives up the gaps below upTo that no transaction can fill, and into which a read has
// just looked in vain.
func (l *loop) closeGaps(upTo int64) {
	closed := l.gaps.found(l.handled, upTo)
	if closed.Empty() {
		return
	}
	l.handled.AddSet(closed)
	l.step.Done.AddSet(closed)
	l.step.Closed.AddSet(closed)
	l.closed.Add(float64(closed.Size()))
}
