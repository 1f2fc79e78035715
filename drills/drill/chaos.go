package drill

import (
	"context"
	"time"

	"waybill.example/devstack/stack"
)

var chaos = Drill{
	Name:    "chaos",
	Promise: "anything dies, freezes or stops at any moment, as a seed decides: nothing is lost, and nothing happens twice",
	For:     60 * time.Second, Within: 30 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		names := []string{stack.Broker, stack.Orders, stack.Inventory, stack.Orchestrator, stack.Relay, stack.Postgres}
		ways := []struct {
			word     string
			down, up stack.Action
		}{
			{"killed", stack.Kill, stack.Start},
			{"stopped", stack.Stop, stack.Start},
			{"frozen", stack.Freeze, stack.Thaw},
		}
		for until := time.Now().Add(d); time.Now().Before(until); {
			name, way := names[s.Random.IntN(len(names))], ways[s.Random.IntN(len(ways))]
			mark := s.Fault
			if name == stack.Orders || name == stack.Postgres {
				mark = s.Outage
			}
			end := mark(name + " " + way.word)
			err := s.Act(ctx, way.down, name)
			if err == nil {
				err = s.Wait(ctx, 200*time.Millisecond+time.Duration(s.Random.Int64N(int64(4*time.Second))))
			}
			if err == nil {
				err = s.Act(ctx, way.up, name)
			}
			end()
			if err != nil {
				return err
			}
			if err := s.Wait(ctx, time.Duration(s.Random.Int64N(int64(2*time.Second)))); err != nil {
				return err
			}
		}
		return nil
	},
}
