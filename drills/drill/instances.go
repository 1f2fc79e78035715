package drill

import (
	"context"
	"fmt"
	"slices"
	"time"

	"waybill.example/devstack/stack"
)

// The services that consume, and all that there can be several of.
var (
	consumers    = []string{stack.Orders, stack.Inventory, stack.Orchestrator}
	everyService = append(slices.Clone(consumers), stack.Relay)
)

const (
	manyPartitions = 12
	manyInstances  = 3
	// shareWithin is how long a group may take until each member has its share: the session of one
	// that was killed, and the rebalance.
	shareWithin = 30 * time.Second
)

var severalInstances = Drill{
	Name:    "several-instances",
	Promise: "three instances of each service share 12 partitions, and one of each is killed at a time: nothing is lost, nothing happens twice, and the new one gets its share",
	For:     40 * time.Second, Within: 20 * time.Second,
	Processes:  true,
	Partitions: manyPartitions,
	Prepare: func(ctx context.Context, s *Environment) error {
		if err := s.multiply(ctx, manyInstances, everyService); err != nil {
			return err
		}
		return s.awaitShares(ctx)
	},
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		// Each service twice: the stack's instance, and one of the drill's.
		kills := 2 * len(everyService)
		if err := s.killInTurns(ctx, d, d/time.Duration(kills), kills, everyService); err != nil {
			return err
		}
		return s.awaitShares(ctx)
	},
}

// multiply starts further instances of services until there are so many of each, and puts a
// balancer in front of Orders.
func (s *Environment) multiply(ctx context.Context, instances int, services []string) error {
	addrs := []string{s.addr(stack.Orders)}
	for _, name := range services {
		for range instances - 1 {
			another, err := s.Spawn(ctx, name)
			if err != nil {
				return err
			}
			if name == stack.Orders {
				addrs = append(addrs, another.Addr)
			}
		}
	}
	b, err := newBalancer(addrs)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, b)
	s.balancer, s.urls = b, []string{b.url()}
	return nil
}

// killInTurns kills an instance of one service after another, and starts it again, for a while and
// at least so many times. Two instances of a service are killed in a row: the heir of a partition
// before the session of the one that it inherited from is over.
func (s *Environment) killInTurns(ctx context.Context, d, pause time.Duration, least int, services []string) error {
	kills := 0
	for until := time.Now().Add(d); kills < least || time.Now().Before(until); kills++ {
		name := services[kills/2%len(services)]
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
		if err := s.Wait(ctx, pause); err != nil {
			return err
		}
	}
	s.Measured("%d processes were killed", kills)
	return nil
}

// awaitShares waits until the instances of each consumer have an equal part of its partitions.
func (s *Environment) awaitShares(ctx context.Context) error {
	for _, name := range consumers {
		var shares []int
		err := s.Until(ctx, shareWithin, "the partitions are shared by all instances of "+name, func(ctx context.Context) (bool, error) {
			var err error
			shares, err = s.shares(ctx, name)
			return err == nil && slices.Max(shares)-slices.Min(shares) <= 1 && slices.Min(shares) > 0, err
		})
		if err != nil {
			return fmt.Errorf("%w: they have %v", err, shares)
		}
		s.Measured("%s: each instance has its share of the partitions: %v", name, shares)
	}
	return nil
}

// shares returns how many partitions each running instance of a service reads.
func (s *Environment) shares(ctx context.Context, name string) ([]int, error) {
	addrs := []string{s.addr(name)}
	s.mu.Lock()
	for _, e := range s.extra {
		if e.service == name && e.running() {
			addrs = append(addrs, e.Addr)
		}
	}
	s.mu.Unlock()
	var all []int
	for _, addr := range addrs {
		n, err := metric(ctx, addr, "waybill_consumer_partitions")
		if err != nil {
			return all, err
		}
		all = append(all, int(n))
	}
	return all, nil
}

// running says whether the instance has not ended.
func (i *Instance) running() bool {
	select {
	case <-i.Done():
		return false
	default:
		return true
	}
}
