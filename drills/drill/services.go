package drill

import (
	"context"
	"fmt"
	"time"

	"waybill.example/devstack/stack"
)

var serviceCrash = Drill{
	Name:    "service-crash",
	Promise: "orders, inventory and orchestrator die at random moments: nothing is lost, and nothing happens twice",
	For:     20 * time.Second, Brief: 8 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		names := []string{stack.Orders, stack.Inventory, stack.Orchestrator}
		kills := 0
		for until := time.Now().Add(d); time.Now().Before(until); kills++ {
			name := names[kills%len(names)]
			mark := s.Fault
			if name == stack.Orders {
				mark = s.Outage // nobody else takes orders
			}
			end := mark(name + " killed")
			err := s.bounce(ctx, name, time.Duration(s.Random.Int64N(int64(time.Second))))
			end()
			if err != nil {
				return err
			}
			if err := s.Wait(ctx, time.Duration(s.Random.Int64N(int64(time.Second)))); err != nil {
				return err
			}
		}
		s.Measured("%d processes were killed", kills)
		return nil
	},
}

var rollingRestart = Drill{
	Name:      "rolling-restart",
	Promise:   "every service is restarted under load, one instance of two at a time: no request fails",
	For:       20 * time.Second,
	Processes: true,
	Prepare: func(ctx context.Context, s *Environment) error {
		return s.multiply(ctx, 2, everyService)
	},
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		pause := d / time.Duration(2*len(everyService)+2)
		for _, name := range everyService {
			end := s.Fault(name + " restarted")
			err := s.roll(ctx, name, pause)
			end()
			if err != nil {
				return fmt.Errorf("restart %s: %w", name, err)
			}
		}
		return nil
	},
}

// roll restarts both instances of a service, one after the other. An instance of Orders is taken
// out of the balancer before it is stopped, as any orchestrator of containers does.
func (s *Environment) roll(ctx context.Context, name string, pause time.Duration) error {
	if name == stack.Orders {
		s.balancer.remove(s.addr(name))
	}
	if err := s.Act(ctx, stack.Stop, name); err != nil {
		return err
	}
	if err := s.Act(ctx, stack.Start, name); err != nil {
		return err
	}
	if name == stack.Orders {
		s.balancer.add(s.addr(name))
	}
	if err := s.Wait(ctx, pause); err != nil {
		return err
	}
	second := s.instance(name)
	if name == stack.Orders {
		s.balancer.remove(second.Addr)
	}
	if err := second.Stop(ctx); err != nil {
		return err
	}
	third, err := s.Spawn(ctx, name)
	if err != nil {
		return err
	}
	if name == stack.Orders {
		s.balancer.add(third.Addr)
	}
	return s.Wait(ctx, pause)
}

// Deadlines that pass within a drill.
var impatient = map[string][]string{
	stack.Orchestrator: {"RESERVE_DEADLINE=1s", "RESERVE_ATTEMPTS=3", "REPLY_DEADLINE=2s"},
}

var inventorySilent = Drill{
	Name:    "inventory-silent",
	Promise: "inventory is down past all deadlines, and its late answers are undone: no order keeps items that it did not get",
	For:     15 * time.Second, Within: 20 * time.Second,
	Env: impatient,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		end := s.Fault("inventory frozen")
		defer end()
		if err := s.Act(ctx, stack.Freeze, stack.Inventory); err != nil {
			return err
		}
		if err := s.Wait(ctx, d); err != nil {
			return err
		}
		const turnedBackSQL = `select count(*) from sagas where phase in ('COMPENSATING', 'COMPENSATION_STUCK')`
		s.Measured("%d sagas had given inventory up when it came back", s.count(ctx, s.pools["orchestrator"], turnedBackSQL))
		return s.Act(ctx, stack.Thaw, stack.Inventory)
	},
}
