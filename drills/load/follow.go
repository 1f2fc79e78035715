package load

import (
	"time"
)

const (
	// followers bounds the orders that are watched at once.
	followers = 64
	// A watched order is looked at every other millisecond at first; one that takes longer is
	// looked at less often, a tenth of its age apart, so that looking does not become the load.
	// That is how exact its time is.
	minLookEvery = 2 * time.Millisecond
	lookShare    = 10
	// confirmTimeout is when a watcher gives an order up; its time is recorded as if it had come
	// then.
	confirmTimeout = 60 * time.Second
)

type followed struct {
	id  int64
	due time.Time
}

// follows spreads the orders to follow evenly over those that are accepted.
func (g *Generator) follows(n int64) bool {
	if g.cfg.Follow <= 0 {
		return false
	}
	share := min(1, g.cfg.Follow/g.Rate())
	return int64(float64(n)*share) != int64(float64(n-1)*share)
}

// followUp hands an order to the watchers; one that comes while all are busy is not followed: the
// system is far behind.
func (g *Generator) followUp(order followed) {
	select {
	case g.follow <- order:
	default:
	}
}

// watch looks at orders as a client does that waits for them.
func (g *Generator) watch() {
	for order := range g.follow {
		for {
			confirmed := g.client.confirmed(int(order.id), order.id)
			took := time.Since(order.due)
			if confirmed || took > confirmTimeout {
				g.confirm.Record(took)
				break
			}
			sleepExactly(time.Now().Add(max(minLookEvery, took/lookShare)))
		}
	}
}
