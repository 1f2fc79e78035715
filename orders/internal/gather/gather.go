// Package gather lets callers that come while a transaction is under way share the next one.
//
// A commit waits for the disk, and a transaction costs four round trips, however many rows it has.
// So one transaction is under way at a time: who comes first has one of their own at once, and those
// who come meanwhile gather and go together when it is done. Alone, a caller waits for nobody; under
// load, the cost of a transaction is divided by those who share it; and nobody is told of success
// before the commit.
package gather

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Group makes one call of All out of many concurrent calls of Do. All and Separable are set before
// its first use; it is safe for concurrent use after that.
type Group[In, Out any] struct {
	// All does everything that is asked for, or nothing of it where it returns an error. It returns
	// as many results as there are wishes, in their order.
	All func(ctx context.Context, wishes []In) ([]Out, error)
	// Separable says of an error of All that nothing was done, and that one of the wishes may be to
	// blame: each is then tried by itself.
	Separable func(error) bool
	// Limit bounds how many go together.
	Limit int

	mu      sync.Mutex
	waiting []*caller[In, Out]
	working bool
}

type caller[In, Out any] struct {
	ctx     context.Context
	arrived time.Time
	wish    In
	begun   bool // guarded by Group.mu: it is part of a call of All, or was refused
	done    chan struct{}
	out     Out
	err     error
}

// errNotBegun says that nothing was done, because too little of the caller's time was left.
var errNotBegun = fmt.Errorf("waited for most of its time and was not begun: %w", context.DeadlineExceeded)

// Do has one wish done, together with those of others.
//
// The error is what became of it. When ctx ends before the wish was begun, nothing is done. From then
// on the caller waits for the outcome: All ends with the earliest deadline of its callers, so nobody is
// told that it failed by a clock of their own and finds it done a second later. Only a caller who hangs
// up, and will not hear, is not waited for.
func (g *Group[In, Out]) Do(ctx context.Context, wish In) (Out, error) {
	c := &caller[In, Out]{ctx: ctx, arrived: time.Now(), wish: wish, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	if !g.working {
		g.working = true
		go g.work()
	}
	g.mu.Unlock()
	select {
	case <-c.done:
		return c.out, c.err
	case <-ctx.Done():
	}
	if g.withdraw(c) || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		var none Out
		return none, ctx.Err()
	}
	<-c.done
	return c.out, c.err
}

// withdraw takes back a wish that was not begun.
func (g *Group[In, Out]) withdraw(c *caller[In, Out]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = slices.DeleteFunc(g.waiting, func(w *caller[In, Out]) bool { return w == c })
	return !c.begun
}

// work serves the callers that wait until there are none. It lives as long as there is one whose call
// has not returned, or whose transaction is about to end: All has the deadline of its callers.
func (g *Group[In, Out]) work() {
	for {
		callers, more := g.next()
		if !more {
			return
		}
		g.serve(callers)
	}
}

// next takes the callers that go together now. It refuses those who have waited for most of their time:
// with them, the deadline of All would leave the others none. more is false where nobody waits.
func (g *Group[In, Out]) next() (callers []*caller[In, Out], more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), g.Limit)
	if n == 0 {
		g.working = false
		return nil, false
	}
	for _, c := range g.waiting[:n] {
		switch {
		case c.ctx.Err() != nil: // it returns by itself
		case c.late():
			c.begun, c.err = true, errNotBegun
			close(c.done)
		default:
			c.begun = true
			callers = append(callers, c)
		}
	}
	g.waiting = slices.Clone(g.waiting[n:]) // without those that were taken: their requests can go
	return callers, true
}

// late reports whether less than a third of the caller's time is left.
func (c *caller[In, Out]) late() bool {
	deadline, ok := c.ctx.Deadline()
	return ok && time.Until(deadline) < deadline.Sub(c.arrived)/3
}

func (g *Group[In, Out]) serve(callers []*caller[In, Out]) {
	if len(callers) == 0 {
		return
	}
	results, err := g.together(callers)
	if err != nil && len(callers) > 1 && !errors.Is(err, errPanicked) && g.Separable(err) {
		for i := range callers {
			g.serve(callers[i : i+1])
		}
		return
	}
	for i, c := range callers {
		if c.err = err; err == nil {
			c.out = results[i]
		}
		close(c.done)
	}
}

var errPanicked = errors.New("panic")

// together calls All. It runs on a goroutine of its own, where a panic would end the process.
func (g *Group[In, Out]) together(callers []*caller[In, Out]) (results []Out, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	ctx, cancel := detached(callers)
	defer cancel()
	wishes := make([]In, len(callers))
	for i, c := range callers {
		wishes[i] = c.wish
	}
	results, err = g.All(ctx, wishes)
	if err == nil && len(results) != len(wishes) {
		err = fmt.Errorf("%d results for %d wishes", len(results), len(wishes))
	}
	return results, err
}

// detached returns a context that outlives each caller who hangs up, because one client does not undo
// what the others have asked for. It ends at the earliest of the callers' deadlines.
func detached[In, Out any](callers []*caller[In, Out]) (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(callers[0].ctx)
	var earliest time.Time
	for _, c := range callers {
		if deadline, ok := c.ctx.Deadline(); ok && (earliest.IsZero() || deadline.Before(earliest)) {
			earliest = deadline
		}
	}
	if earliest.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, earliest)
}
