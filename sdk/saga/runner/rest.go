package runner

import (
	"sync/atomic"
	"time"
)

// longestRest is how long the loop that acts on deadlines stays away at most: a deadline that was
// set by another process, which has died since, is acted on so late.
const longestRest = time.Second

// rest is how long a loop that has found nothing may stay away: until its next work is due, as far
// as it knows. What may bring that forward disturbs it, and then it looks again as soon as it would
// without a rest. Nil never rests.
type rest struct {
	// due is in how long the next work is; what the loop does sets it, on the loop's goroutine.
	due time.Duration
	// undisturbed since the last look began: what is committed while it looks may not be seen.
	undisturbed atomic.Bool
	disturbed   chan struct{} // holds one
}

func newRest() *rest { return &rest{disturbed: make(chan struct{}, 1)} }

// begin notes that the loop looks.
func (r *rest) begin() {
	if r != nil {
		r.undisturbed.Store(true)
	}
}

// after returns how long to stay away, and at least every.
func (r *rest) after(every time.Duration) time.Duration {
	if r == nil {
		return every
	}
	return max(every, min(r.due, longestRest))
}

// disturb ends a rest. It is called for each batch of messages, of which it does something for one
// per look.
func (r *rest) disturb() {
	if !r.undisturbed.Load() || !r.undisturbed.CompareAndSwap(true, false) {
		return
	}
	select {
	case r.disturbed <- struct{}{}:
	default:
	}
}
