package drill

import (
	"context"
	"time"

	"waybill.example/devstack/stack"
)

const (
	residentMetric = "process_resident_memory_bytes"
	// What the relay may take beyond what it has while all is well, however long the broker is
	// down: each of its three databases keeps the few rows that it has read, and no more.
	trickleMemory = 64 << 20
)

var trickle = Drill{
	Name:     "trickle",
	Promise:  "the broker is down while few rows come at a time: the relay takes at most 64 MiB more than before, and every order ends within 15 s of its return",
	For:      30 * time.Second,
	MostRate: 20,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		relay := s.addr(stack.Relay)
		before, err := metric(ctx, relay, residentMetric)
		if err != nil {
			return err
		}
		end := s.Fault("broker killed")
		defer end()
		if err := s.Act(ctx, stack.Kill, stack.Broker); err != nil {
			return err
		}
		most := before
		for until := time.Now().Add(d); time.Now().Before(until); {
			now, err := metric(ctx, relay, residentMetric)
			if err != nil {
				return err
			}
			most = max(most, now)
			if err := s.Wait(ctx, 500*time.Millisecond); err != nil {
				return err
			}
		}
		s.Measured("the relay had %.0f MiB before, and %.0f MiB at most while the broker was down", before/(1<<20), most/(1<<20))
		if most-before > trickleMemory {
			s.Failed("the relay took %.0f MiB more while the broker was down", (most-before)/(1<<20))
		}
		return s.Act(ctx, stack.Start, stack.Broker)
	},
}
