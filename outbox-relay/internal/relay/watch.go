package relay

import (
	"context"
	"time"
)

// watchGaps looks from time to time at which transactions could still fill the gaps.
func (t *term) watchGaps(ctx context.Context) error {
	now := time.Now()
	if now.Sub(t.gaps.looked) < lookEvery {
		return nil
	}
	t.gaps.looked = now
	count := t.taken.CountGaps()
	t.holes.Set(float64(count))
	t.inFlight.Set(float64(t.rows))
	if count == 0 {
		t.gaps = gaps{looked: now, sorted: t.taken.End()}
		return nil
	}
	horizon, err := t.session.Horizon(ctx)
	if err != nil {
		return err
	}
	if horizon.Allocated+1 < t.gaps.sorted {
		t.verified = time.Time{} // the sequence went back
	}
	t.gaps.look(t.taken, horizon, now, t.options.HoleGrace)
	return nil
}

// closeGaps gives up the gaps below upTo that no transaction can fill, and into which a read has just looked in vain.
func (t *term) closeGaps(upTo int64) {
	closed := t.gaps.found(t.taken, upTo)
	if closed.Empty() {
		return
	}
	t.taken.AddSet(closed)
	t.step.Settled.AddSet(closed)
	t.step.Closed.AddSet(closed)
	t.closed.Add(float64(closed.Size()))
}
