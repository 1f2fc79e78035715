package drill

import (
	"context"
	"fmt"
	"time"

	"waybill.example/devstack/stack"
)

var slowNetwork = Drill{
	Name:    "slow-network",
	Promise: "the network to the broker and to Postgres is slow and narrow: orders take longer, and none fails",
	For:     15 * time.Second,
	Proxied: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		for _, bad := range []struct {
			server string
			label  string
			toxics []toxic
		}{
			{stack.Broker, "broker: 100 ms latency, 200 kB/s", []toxic{
				{"latency", "downstream", map[string]int{"latency": 100, "jitter": 50}},
				{"bandwidth", "upstream", map[string]int{"rate": 200}},
			}},
			{stack.Postgres, "postgres: 10 ms latency", []toxic{
				{"latency", "downstream", map[string]int{"latency": 10, "jitter": 5}},
			}},
		} {
			end := s.Fault(bad.label)
			err := s.through(ctx, bad.server, d/2, bad.toxics...)
			end()
			if err != nil {
				return err
			}
		}
		return nil
	},
}

var cutNetwork = Drill{
	Name:    "cut-network",
	Promise: "connections to the broker and to Postgres are reset, and then go dead without a word: nothing is lost or doubled",
	For:     16 * time.Second, Within: 30 * time.Second,
	Proxied: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		for _, bad := range []struct {
			mark   func(string) func()
			server string
			label  string
			toxics []toxic
		}{
			{s.Fault, stack.Broker, "broker: connections reset", []toxic{{"reset_peer", "downstream", map[string]int{"timeout": 300}}}},
			{s.Fault, stack.Broker, "broker: black hole", blackHole},
			{s.Outage, stack.Postgres, "postgres: connections reset", []toxic{{"reset_peer", "downstream", map[string]int{"timeout": 300}}}},
			{s.Outage, stack.Postgres, "postgres: black hole", blackHole},
		} {
			end := bad.mark(bad.label)
			err := s.through(ctx, bad.server, d/4, bad.toxics...)
			end()
			if err != nil {
				return err
			}
			if err := s.Wait(ctx, time.Second); err != nil {
				return err
			}
		}
		return nil
	},
}

// blackHole swallows everything in both directions and closes nothing.
var blackHole = []toxic{
	{"timeout", "upstream", map[string]int{"timeout": 0}},
	{"timeout", "downstream", map[string]int{"timeout": 0}},
}

// through makes the network to a server bad for a while.
func (s *Environment) through(ctx context.Context, server string, d time.Duration, toxics ...toxic) error {
	p, ok := s.proxies[server]
	if !ok {
		return fmt.Errorf("there is no proxy in front of %s", server)
	}
	defer p.heal(context.WithoutCancel(ctx))
	for _, t := range toxics {
		if err := p.poison(t); err != nil {
			return err
		}
	}
	return s.Wait(ctx, d)
}
