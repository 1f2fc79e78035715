// Package batch lets concurrent requests share a transaction: group commit for callers.
//
// A commit waits for the disk, and a transaction costs its round trips, however many rows it has.
// So one transaction is in flight at a time: the first request has one of its own at once, and the
// requests that arrive in the meantime go together in the next. Alone, a request waits for no
// other; under load, transactions begin a few milliseconds apart (see package pace), and the cost
// of one is divided by those that share it; and no request is answered before its commit.
package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"waybill.example/chassis/pace"
)

// Options bound a batch, and say which errors are worth splitting one for.
type Options struct {
	// Limit is the most requests of one batch.
	Limit int
	// CanSplit reports whether an error of a batch means that nothing was done, and that one
	// request may be the cause: each is then retried by itself. An error that leaves it open
	// whether the batch took effect must not be split, or its requests may be done twice.
	CanSplit func(error) bool
	// MayLeave has a caller whose deadline passes return at once, without knowing what becomes of
	// its request, and a batch end with the latest deadline of its callers in place of the
	// earliest: for callers that choose their deadlines themselves, so that one in a hurry takes no
	// time from the others.
	MayLeave bool
}

// Coalescer turns concurrent calls of Do into few calls of one function. It is safe for concurrent
// use.
type Coalescer[In, Out any] struct {
	do      func(ctx context.Context, requests []In) ([]Out, error)
	options Options
	joined  chan struct{} // has one element when a request has come

	// Of the goroutine that runs work.
	pace   pace.Pace
	enough int // requests were there at the end of the last window that was waited for to its end
	left   int // windows until one is waited for to its end again

	mu      sync.Mutex
	waiting []*request[In, Out]
	working bool // a goroutine runs work
}

// New returns a Coalescer of do. do carries out all requests or, where it returns an error, none of
// them; it returns as many results as there are requests, in their order. It is called by one
// goroutine at a time.
func New[In, Out any](do func(ctx context.Context, requests []In) ([]Out, error), options Options) *Coalescer[In, Out] {
	return &Coalescer[In, Out]{do: do, options: options, joined: make(chan struct{}, 1)}
}

// request is one call of Do.
type request[In, Out any] struct {
	ctx     context.Context
	arrived time.Time
	in      In
	begun   bool          // guarded by Coalescer.mu: it is part of a batch, or was refused
	done    chan struct{} // closed once out and err are set
	out     Out
	err     error
}

// errNotBegun says that nothing was done, because too little of the caller's time was left.
var errNotBegun = fmt.Errorf("waited for most of its time and was not begun: %w", context.DeadlineExceeded)

// Do has a request carried out, together with others, and returns its outcome.
//
// If ctx ends before the request was begun, nothing is done. From then on the caller waits for the
// outcome: a batch ends with the earliest deadline of its callers, so no caller sees a timeout for
// a request that succeeds a moment later. Only a caller whose context is cancelled, and who will
// not read the answer, returns early; with [Options.MayLeave] every caller whose context ends does.
func (c *Coalescer[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	r := &request[In, Out]{ctx: ctx, arrived: time.Now(), in: in, done: make(chan struct{})}
	c.mu.Lock()
	c.waiting = append(c.waiting, r)
	select {
	case c.joined <- struct{}{}:
	default:
	}
	if !c.working {
		c.working = true
		go c.work()
	}
	c.mu.Unlock()
	select {
	case <-r.done:
		return r.out, r.err
	case <-ctx.Done():
	}
	if c.withdraw(r) || c.options.MayLeave || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		var none Out
		return none, ctx.Err()
	}
	<-r.done
	return r.out, r.err
}

// withdraw removes a request that was not begun, and reports whether it was not.
func (c *Coalescer[In, Out]) withdraw(r *request[In, Out]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = slices.DeleteFunc(c.waiting, func(w *request[In, Out]) bool { return w == r })
	return !r.begun
}

// work runs batches until no request waits. It ends soon after the last caller has returned,
// because a batch has the deadline of its callers.
func (c *Coalescer[In, Out]) work() {
	for {
		c.gather(c.pace.Wait(time.Now()))
		batch, more := c.next()
		if !more {
			return
		}
		c.pace.Began(len(batch), time.Now())
		c.run(batch)
	}
}

// watchEvery is which of so many windows is waited for to its end.
const watchEvery = 16

// gather lets requests come until the window is over, or until as many have come as a whole window
// brings: those of callers who ask one after the other are all there soon, and no others come. How
// many that is, is looked at now and then.
func (c *Coalescer[In, Out]) gather(window time.Duration) {
	if window <= 0 || c.here() == 0 {
		return
	}
	timer := time.NewTimer(window)
	defer timer.Stop()
	if c.left--; c.left < 0 {
		<-timer.C
		c.enough, c.left = c.here(), watchEvery
		return
	}
	for c.here() < c.enough {
		select {
		case <-c.joined:
		case <-timer.C:
			return
		}
	}
}

// here is how many requests wait.
func (c *Coalescer[In, Out]) here() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

// next takes the requests of the next batch. It refuses those that have waited for most of their
// time: with their deadline, the batch would leave the others none. more is false where none waits.
func (c *Coalescer[In, Out]) next() (batch []*request[In, Out], more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), c.options.Limit)
	if n == 0 {
		c.working = false
		return nil, false
	}
	for _, r := range c.waiting[:n] {
		switch {
		case r.ctx.Err() != nil: // its caller returns by itself
		case !c.options.MayLeave && r.late():
			r.begun, r.err = true, errNotBegun
			close(r.done)
		default:
			r.begun = true
			batch = append(batch, r)
		}
	}
	c.waiting = slices.Clone(c.waiting[n:]) // without those that were taken, so that they can be freed
	return batch, true
}

// late reports whether less than a third of the caller's time is left.
func (r *request[In, Out]) late() bool {
	deadline, ok := r.ctx.Deadline()
	return ok && time.Until(deadline) < deadline.Sub(r.arrived)/3
}

// run carries out a batch, and splits it where that can help.
func (c *Coalescer[In, Out]) run(batch []*request[In, Out]) {
	if len(batch) == 0 {
		return
	}
	results, err := c.call(batch)
	if err != nil && len(batch) > 1 && !errors.Is(err, errPanicked) && c.options.CanSplit(err) {
		for i := range batch {
			c.run(batch[i : i+1])
		}
		return
	}
	for i, r := range batch {
		if r.err = err; err == nil {
			r.out = results[i]
		}
		close(r.done)
	}
}

var errPanicked = errors.New("panic")

// call calls do. It runs on a goroutine of its own, where a panic would end the process.
func (c *Coalescer[In, Out]) call(batch []*request[In, Out]) (results []Out, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	ctx, cancel := c.sharedContext(batch)
	defer cancel()
	in := make([]In, len(batch))
	for i, r := range batch {
		in[i] = r.in
	}
	results, err = c.do(ctx, in)
	if err == nil && len(results) != len(in) {
		err = fmt.Errorf("%d results for %d requests", len(results), len(in))
	}
	return results, err
}

// sharedContext returns a context that outlives each caller who hangs up, because one client must
// not cancel the requests of others. It ends at the earliest of the callers' deadlines, or at the
// latest where they may leave.
func (c *Coalescer[In, Out]) sharedContext(batch []*request[In, Out]) (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(batch[0].ctx)
	var end time.Time
	for _, r := range batch {
		deadline, ok := r.ctx.Deadline()
		switch {
		case !ok && c.options.MayLeave:
			return ctx, func() {}
		case ok && (end.IsZero() || deadline.After(end) == c.options.MayLeave):
			end = deadline
		}
	}
	if end.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, end)
}
