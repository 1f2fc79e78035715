// Package pace decides how far apart batches begin, where what comes one by one is taken together.
//
// A batch has a price of its own: round trips, a commit, threads that wake up. Taken as soon as
// there is something, batches are small while the machine has time to spare, and it spends that
// time on their price. So at a middle rate batches begin no sooner than a window after one another.
// At a low rate nothing is gained by waiting, and nothing waits. At a high rate a batch takes
// longer than the window, and the next begins at once.
package pace

import (
	"math"
	"time"
)

// Window is how far apart batches begin at least, where things come at [Rate] or faster.
const Window = 8 * time.Millisecond

// Rate is from how many things a second on batches are spaced.
const Rate = 200

// memory is the time that the rate is smoothed over: longer than the gaps within a steady load,
// shorter than anybody would wait for the first order after a burst.
const memory = 100 * time.Millisecond

// Pace spaces the batches of one consumer. The zero value has seen nothing yet. It is for one
// goroutine.
type Pace struct {
	rate  float64 // things a second, at began
	began time.Time
}

// Began notes that a batch of n things begins.
func (p *Pace) Began(n int, now time.Time) {
	p.rate = p.rateAt(now) + float64(n)/memory.Seconds()
	p.began = now
}

// Busy says whether things come so fast that batches are spaced.
func (p *Pace) Busy(now time.Time) bool { return p.rateAt(now) >= Rate }

// Wait returns for how long the next batch should not begin yet; 0 or less stands for not at all.
func (p *Pace) Wait(now time.Time) time.Duration {
	if !p.Busy(now) {
		return 0
	}
	return Window - now.Sub(p.began)
}

// rateAt returns the rate, where nothing has come since the last batch began.
func (p *Pace) rateAt(now time.Time) float64 {
	return p.rate * math.Exp(-now.Sub(p.began).Seconds()/memory.Seconds())
}
