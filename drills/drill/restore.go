package drill

import (
	"context"
	"fmt"
	"time"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
)

// restore is a drill that takes one database back to an earlier moment, under connected services.
func restore(name, database, promise string) Drill {
	return Drill{
		Name: name, Promise: promise,
		For: 5 * time.Second, Within: 30 * time.Second,
		Processes: true, Repaired: true,
		Break: func(ctx context.Context, s *Environment, d time.Duration) error {
			return s.goBack(ctx, d, database)
		},
	}
}

var (
	restoreInventory = restore("restore-inventory", stack.Inventory,
		"Inventory's database is recovered as it was at an earlier moment, under connected services: the commands since then are carried out again; orders whose item is no longer there are named by the audit, and cancelled by its plan")
	restoreOrchestrator = restore("restore-orchestrator", stack.Orchestrator,
		"the orchestrator's database is recovered as it was at an earlier moment, under connected services: its sagas are begun again, every order ends, and nothing is left to repair")
)

var failover = Drill{
	Name:    "failover",
	Promise: "Inventory and the orchestrator go back to one moment, as with standbys that lack the last seconds: nothing that Kafka holds is lost, and every order ends",
	For:     time.Second, Within: 30 * time.Second,
	Processes: true, Repaired: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		return s.goBack(ctx, d, stack.Inventory, stack.Orchestrator)
	},
}

// goBack takes databases back to a moment d ago. Deliveries that came in since then are forgotten,
// and the orders that they served are not.
func (s *Environment) goBack(ctx context.Context, d time.Duration, names ...string) error {
	moment, err := s.backUpBeforeDelivery(ctx, d)
	if err != nil {
		return err
	}
	return s.putBack(ctx, moment, names...)
}

// backUpBeforeDelivery makes a backup, has items delivered after it, and waits for d.
func (s *Environment) backUpBeforeDelivery(ctx context.Context, d time.Duration) (time.Time, error) {
	moment, err := s.backUp(ctx)
	if err != nil {
		return moment, err
	}
	if err := s.deliver(ctx, "pizza", 10); err != nil {
		return moment, err
	}
	return moment, s.Wait(ctx, d)
}

// deliver adds items to the stock.
func (s *Environment) deliver(ctx context.Context, sku string, items int) error {
	_, err := s.shell(ctx, fmt.Sprintf("inventory stock move %s --in=%d --reason=delivery", sku, items))
	return err
}

var restoreOrders = Drill{
	Name:    "restore-orders",
	Promise: "Orders' database is recovered as it was at an earlier moment: the orders since then are recovered from their sagas by the audit's plan, no id is given out twice, and every order ends",
	For:     5 * time.Second, Within: 30 * time.Second,
	Processes: true, Repaired: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		moment, err := s.backUp(ctx)
		if err != nil {
			return err
		}
		if err := s.Wait(ctx, d); err != nil {
			return err
		}
		end := s.Outage("orders restored")
		defer end()
		if err := s.stopOrdersPublished(ctx); err != nil {
			return err
		}
		if err := s.putBack(ctx, moment, stack.Orders); err != nil {
			return err
		}
		return s.recoverOrders(ctx)
	},
}

var restoreTogether = Drill{
	Name:    "restore-together",
	Promise: "the whole server is recovered as it was at an earlier moment: the orchestrator learns from Kafka what Orders has lost, Orders is given it back before it starts, and every order ends",
	For:     5 * time.Second, Within: 40 * time.Second,
	Processes: true, Repaired: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		moment, err := s.backUpBeforeDelivery(ctx, d)
		if err != nil {
			return err
		}
		end := s.Outage("everything restored")
		defer end()
		if err := s.stopOrdersPublished(ctx); err != nil {
			return err
		}
		others := []string{stack.Relay, stack.Inventory, stack.Orchestrator}
		for _, name := range others {
			if err := s.Act(ctx, stack.Stop, name); err != nil {
				return err
			}
		}
		if err := s.putAllBack(ctx, moment); err != nil {
			return err
		}
		for _, name := range others {
			if err := s.Act(ctx, stack.Start, name); err != nil {
				return err
			}
		}
		return s.recoverOrders(ctx)
	},
}

// stopOrdersPublished stops Orders, and waits until everything that it wrote is on the topics: what
// never left the database is nowhere else.
func (s *Environment) stopOrdersPublished(ctx context.Context) error {
	if err := s.Act(ctx, stack.Stop, stack.Orders); err != nil {
		return err
	}
	return s.Until(ctx, time.Minute, "every order has left the database", s.allPublished)
}

func (s *Environment) allPublished(ctx context.Context) (bool, error) {
	return s.count(ctx, s.pools[stack.Orders], waitingSQL) == 0, nil
}

// recoverOrders gives Orders what its sagas know of the orders that it has lost, as the audit's
// plan says, and starts it. Everything that Orders has ever published must have reached the
// orchestrator.
func (s *Environment) recoverOrders(ctx context.Context) error {
	if err := s.Until(ctx, time.Minute, "the orchestrator has read what Orders published", s.everyOrderIsRead); err != nil {
		return err
	}
	before, err := s.countOrders(ctx)
	if err != nil {
		return err
	}
	if _, err := s.followPlan(ctx, now); err != nil {
		return err
	}
	after, err := s.countOrders(ctx)
	if err != nil {
		return err
	}
	s.Measured("%d orders were recovered from their sagas", after-before)
	return s.Act(ctx, stack.Start, stack.Orders)
}

// countOrders waits until the database can be asked.
func (s *Environment) countOrders(ctx context.Context) (orders int64, err error) {
	err = s.Until(ctx, time.Minute, "the orders can be counted", func(ctx context.Context) (bool, error) {
		orders = s.count(ctx, s.pools[stack.Orders], `select count(*) from orders`)
		return orders != unknown, nil
	})
	return orders, err
}

// everyOrderIsRead compares where the orchestrator goes on reading with where the topic ends.
func (s *Environment) everyOrderIsRead(ctx context.Context) (bool, error) {
	client, err := s.kafka()
	if err != nil {
		return false, err
	}
	defer client.Close()
	last, err := ends(ctx, client, contracts.TopicOrders, contracts.DefaultPartitions)
	if err != nil {
		return false, err
	}
	const readSQL = `select coalesce(min(next_offset), 0) from consumer_positions where consumer = $1 and topic = $2 and "partition" = $3`
	for partition, end := range last {
		if s.count(ctx, s.pools[stack.Orchestrator], readSQL, contracts.GroupOrchestrator, contracts.TopicOrders, partition) < end {
			return false, nil
		}
	}
	return true, nil
}
