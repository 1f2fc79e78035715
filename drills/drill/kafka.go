package drill

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"waybill.example/devstack/stack"
)

var kafkaDown = Drill{
	Name:    "kafka-down",
	Promise: "the broker dies: every order is still taken, and ends within 15 s of the broker's return",
	For:     30 * time.Second, Brief: 10 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		end := s.Fault("broker killed")
		defer end()
		return s.bounce(ctx, stack.Broker, d)
	},
}

var kafkaFlap = Drill{
	Name:    "kafka-flap",
	Promise: "the broker comes and goes: nothing is lost in between, and nothing happens twice",
	For:     20 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		for until := time.Now().Add(d); time.Now().Before(until); {
			end := s.Fault("broker killed")
			err := s.bounce(ctx, stack.Broker, 2*time.Second)
			end()
			if err != nil {
				return err
			}
			if err := s.Wait(ctx, 2*time.Second); err != nil {
				return err
			}
		}
		return nil
	},
}

// When a broker comes back empty, what was published and not yet handled is gone. The outboxes
// still have it: they are replayed from the oldest order that has not ended. The drill replays
// everything, so that it also shows that replaying what was handled long ago does no harm.
var kafkaWiped = Drill{
	Name:    "kafka-wiped",
	Promise: "the broker comes back empty: the outboxes are replayed, and every order ends",
	For:     8 * time.Second, Within: 30 * time.Second,
	EmbeddedOnly: "its data directory is what gets wiped",
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		end := s.Fault("broker wiped")
		defer end()
		if err := s.Act(ctx, stack.Kill, stack.Broker); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(s.dir, stack.Broker)); err != nil {
			return fmt.Errorf("wipe the broker: %w", err)
		}
		if err := s.Wait(ctx, d); err != nil {
			return err
		}
		// Where the replay puts rows, their order is that of the replay.
		if err := s.orderUnknownSoFar(ctx); err != nil {
			return err
		}
		if err := s.Act(ctx, stack.Start, stack.Broker); err != nil {
			return err
		}
		return s.replayEverything(ctx)
	},
}

// orderUnknownSoFar exempts the rows that are there now from the check of order.
func (s *Environment) orderUnknownSoFar(ctx context.Context) error {
	last := map[string]int64{}
	for name, pool := range s.pools {
		if last[name] = s.count(ctx, pool, `select coalesce(max(id), 0) from outbox`); last[name] == unknown {
			return fmt.Errorf("the outbox of %s could not be read", name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audit.Unordered = last
	return nil
}
