// Package lifecycle runs the parts of a process together and stops them in order.
//
// Parts are started in the order in which they were added and stopped in the reverse order, each
// before the next, so that what others rely on stays until they are gone: add the database pool
// first and the HTTP server last, and at shutdown requests are drained while the pool still serves
// them.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// Group is a list of parts. The zero value is ready; it is not safe for concurrent use.
type Group struct{ parts []part }

type part struct {
	name string
	run  func(context.Context) error
}

// Add appends a part. run works until its context ends, drains, and returns nil; a return before
// that stops the whole group.
func (g *Group) Add(name string, run func(context.Context) error) {
	g.parts = append(g.parts, part{name, run})
}

// Closer turns a function that releases something into a part that does nothing until the end.
func Closer(release func()) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		release()
		return nil
	}
}

// Run starts all parts and waits until ctx ends or one of them returns, then stops all, last first.
// It returns the parts' errors. Once everything has to stop, the group is given patience to do so;
// after that Run returns an error that names the part which hangs, and leaves it behind.
func (g *Group) Run(ctx context.Context, log *slog.Logger, patience time.Duration) error {
	type running struct {
		part
		stop context.CancelFunc
		done chan error
	}
	ended := make(chan struct{}, len(g.parts))
	all := make([]running, 0, len(g.parts))
	for _, p := range g.parts {
		// Detached from ctx: each part is stopped in its turn, not all at once.
		partCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		r := running{p, stop, make(chan error, 1)}
		go func() {
			r.done <- p.run(partCtx)
			ended <- struct{}{}
		}()
		all = append(all, r)
	}

	select {
	case <-ctx.Done():
		log.InfoContext(ctx, "stopping")
	case <-ended:
		log.InfoContext(ctx, "stopping, since a part ended")
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	var errs []error
	for _, r := range slices.Backward(all) {

		r.stop()
		select {
		case err := <-r.done:
			if err != nil && !errors.Is(err, context.Canceled) {
				errs = append(errs, fmt.Errorf("%s: %w", r.name, err))
			}
			log.DebugContext(ctx, "stopped", "part", r.name)
		case <-timeout.C:
			return errors.Join(append(errs, fmt.Errorf("%s did not stop within %s", r.name, patience))...)
		}
	}
	return errors.Join(errs...)
}

// Signals returns a context that ends at SIGINT or SIGTERM. A second signal kills the process.
func Signals() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from now on signals have their default effect again
	return ctx, stop
}
