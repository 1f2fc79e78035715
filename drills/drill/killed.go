package drill

import (
	"context"
	"fmt"
	"time"

	"waybill.example/devstack/stack"
)

var consumersKilled = Drill{
	Name:    "consumers-killed",
	Promise: "of two instances of each service one is killed every two seconds: the consumer groups recover, nothing is lost, and nothing happens twice",
	For:     24 * time.Second,
	// Two sessions, since an heir may be killed as well, and the group's recovery.
	Within:    20 * time.Second,
	Processes: true,
	Prepare: func(ctx context.Context, s *Environment) error {
		return s.multiply(ctx, 2, consumers)
	},
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		return s.killInTurns(ctx, d, 2*time.Second, 1, consumers)
	},
}

// replace kills one of the instances of a service, the stack's own or the drill's newest, and
// starts another.
func (s *Environment) replace(ctx context.Context, name string, own bool) error {
	old := s.addr(name)
	if own {
		if err := s.Act(ctx, stack.Kill, name); err != nil {
			return err
		}
	} else {
		second := s.instance(name)
		old = second.Addr
		second.Kill()
	}
	if name == stack.Orders {
		s.balancer.remove(old)
	}
	started := s.addr(name)
	if own {
		if err := s.Act(ctx, stack.Start, name); err != nil {
			return err
		}
	} else {
		another, err := s.Spawn(ctx, name)
		if err != nil {
			return fmt.Errorf("start another %s: %w", name, err)
		}
		started = another.Addr
	}
	if name == stack.Orders {
		s.balancer.add(started)
	}
	return nil
}
