package environment

import (
	"context"
	"fmt"
	"time"

	"waybill.example/devstack/stack"
)

// AwaitReady waits until the service on addr, host:port, says that it is ready: for 20 s at most.
func AwaitReady(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if stack.AskReady(ctx, addr) == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("nothing is ready on %s: %w", addr, ctx.Err())
		}
	}
}
