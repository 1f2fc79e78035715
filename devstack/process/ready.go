package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// readyPoll is how often a starting program is asked whether it is ready.
const readyPoll = 20 * time.Millisecond

// NotReadyError says that a program did not become ready, why, and what it
// wrote last.
type NotReadyError struct {
	Name string
	Err  error
	Tail []string
}

func (e *NotReadyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %v", e.Name, e.Err)
	if len(e.Tail) > 0 {
		b.WriteString("; its last output:")
		for _, line := range e.Tail {
			b.WriteString("\n    " + line)
		}
	}
	return b.String()
}

func (e *NotReadyError) Unwrap() error { return e.Err }

// AwaitReady calls check until it returns nil, the program ends, or ctx ends.
// The last two return a *NotReadyError; the program is left as it is.
func (p *Process) AwaitReady(ctx context.Context, check func(context.Context) error) error {
	for {
		checkCtx, cancel := context.WithTimeout(ctx, time.Second)
		err := check(checkCtx)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(readyPoll):
		case <-p.done:
			return &NotReadyError{Name: p.name, Err: p.endedEarly(), Tail: p.Tail()}
		case <-ctx.Done():
			late := fmt.Errorf("was not ready in time: %w", errors.Join(context.Cause(ctx), err))
			return &NotReadyError{Name: p.name, Err: late, Tail: p.Tail()}
		}
	}
}

func (p *Process) endedEarly() error {
	if p.err == nil {
		return errors.New("ended before it was ready")
	}
	return fmt.Errorf("ended before it was ready: %w", p.err)
}
