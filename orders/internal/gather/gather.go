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
	ctx  context.Context
	wish In
	done chan struct{}
	out  Out
	err  error
}

// Do has one wish done, together with those of others. It returns when ctx ends, too: a wish that has
// not been begun is then given up, and of one that is under way the outcome stays open.
func (g *Group[In, Out]) Do(ctx context.Context, wish In) (Out, error) {
	c := &caller[In, Out]{ctx: ctx, wish: wish, done: make(chan struct{})}
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
		var none Out
		return none, ctx.Err()
	}
}

// work serves the callers that wait until there are none. It lives as long as there is one whose call
// has not returned, or whose transaction is about to end: All has the deadline of its callers.
func (g *Group[In, Out]) work() {
	for {
		g.mu.Lock()
		together := g.waiting[:min(len(g.waiting), g.Limit)]
		g.waiting = g.waiting[len(together):]
		if len(together) == 0 {
			g.working = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		g.serve(slices.DeleteFunc(together, func(c *caller[In, Out]) bool { return c.ctx.Err() != nil }))
	}
}

func (g *Group[In, Out]) serve(callers []*caller[In, Out]) {
	if len(callers) == 0 {
		return
	}
	ctx, cancel := detached(callers)
	defer cancel()
	wishes := make([]In, len(callers))
	for i, c := range callers {
		wishes[i] = c.wish
	}
	results, err := g.All(ctx, wishes)
	if err == nil && len(results) != len(wishes) {
		err = fmt.Errorf("%d results for %d wishes", len(results), len(wishes))
	}
	if err != nil && len(callers) > 1 && g.Separable(err) {
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

// detached returns a context that outlives each caller who gives up, but not the last of them: one
// client that hangs up does not undo what the others have asked for.
func detached[In, Out any](callers []*caller[In, Out]) (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(callers[0].ctx)
	var last time.Time
	for _, c := range callers {
		deadline, ok := c.ctx.Deadline()
		if !ok {
			return ctx, func() {}
		}
		if deadline.After(last) {
			last = deadline
		}
	}
	return context.WithDeadline(ctx, last)
}
