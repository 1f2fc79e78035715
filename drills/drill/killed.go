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
		addrs := []string{s.addr(stack.Orders)}
		for _, name := range []string{stack.Orders, stack.Inventory, stack.Orchestrator} {
			another, err := s.Spawn(ctx, name)
			if err != nil {
				return err
			}
			if name == stack.Orders {
				addrs = append(addrs, another.Addr)
			}
		}
		b, err := newBalancer(addrs)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, b)
		s.balancer, s.urls = b, []string{b.url()}
		return nil
	},
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		names := []string{stack.Orders, stack.Inventory, stack.Orchestrator}
		kills := 0
		for until := time.Now().Add(d); time.Now().Before(until); kills++ {
			// The two instances of a service in turns: the heir of a partition is killed before the
			// session of the one that it inherited from is over.
			name := names[kills/2%len(names)]
			mark := s.Fault
			if name == stack.Orders {
				mark = s.Outage // requests under way are cut
			}
			end := mark(name + " killed")
			err := s.replace(ctx, name, kills%2 == 0)
			end()
			if err != nil {
				return err
			}
			if err := s.Wait(ctx, 2*time.Second); err != nil {
				return err
			}
		}
		s.Measured("%d processes were killed", kills)
		return nil
	},
}

// replace kills one of two instances of a service, the stack's own or the drill's, and starts
// another.
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
