package drill

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/contracts"
	"waybill.example/devstack/postgres"
	"waybill.example/devstack/stack"
	"waybill.example/drills/audit"
)

var failoverAsync = Drill{
	Name: "failover-async",
	Promise: "the Postgres primary is killed and a standby promoted that lacks the last seconds of all databases: what Kafka has is read again, " +
		"orders are recovered from their sagas while everything runs, no id is given out twice, every order ends, and only what no message knows is lost",
	For: 3 * time.Second, Within: 30 * time.Second,
	MostRate:  50, // as it was tried
	Standby:   stack.Asynchronous,
	Processes: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		lost := &loss{from: time.Now()}
		if err := s.stopStreaming(ctx); err != nil {
			return err
		}
		if err := s.Wait(ctx, d); err != nil {
			return err
		}
		if err := s.Act(ctx, stack.Freeze, stack.Relay); err != nil {
			return err
		}
		if err := s.Wait(ctx, unpublishedFor); err != nil {
			return err
		}
		var err error
		if lost.to, err = s.failOver(ctx, stack.Relay); err != nil {
			return err
		}
		if err := s.oldPrimaryReturns(ctx, func(ctx context.Context) error { return s.compare(ctx, lost) }); err != nil {
			return err
		}
		return s.recoverLost(ctx, lost)
	},
}

// unpublishedFor is how long the relay is frozen before the primary dies: orders of that time are
// in no message.
const unpublishedFor = 300 * time.Millisecond

// stopStreaming has the standby lag from here on, by what it was last sent.
func (s *Environment) stopStreaming(ctx context.Context) error {
	conn, err := s.connectTo(ctx, stack.Standby, stack.Orders)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return postgres.StopStreaming(ctx, conn)
}

// loss is what the standby lacked when it was promoted.
type loss struct {
	from, to  time.Time
	orders    []int64 // that were in Orders' database
	published []int64 // those of them that a message on the topic reports
}

// compare finds out which orders the new primary lacks of those that the old one has.
func (s *Environment) compare(ctx context.Context, lost *loss) error {
	had, err := s.orderIDs(ctx)
	if err != nil {
		return err
	}
	messages, err := s.messages(ctx, contracts.TopicOrders)
	if err != nil {
		return err
	}
	reported := map[int64]bool{}
	for _, m := range messages {
		if id, err := strconv.ParseInt(string(m.Key), 10, 64); err == nil {
			reported[id] = true
		}
	}
	lost.orders = had
	for _, id := range had {
		if reported[id] {
			lost.published = append(lost.published, id)
		}
	}
	return nil
}

// orderIDs returns the orders that only the old primary has. An order that has the id of a lost one
// is a failure: others have heard of the lost one.
func (s *Environment) orderIDs(ctx context.Context) ([]int64, error) {
	const idsSQL = `select id, user_id from orders`
	conn, err := s.oldPrimary(ctx, stack.Orders)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	before, err := usersByOrder(conn.Query(ctx, idsSQL))
	if err != nil {
		return nil, err
	}
	now, err := usersByOrder(s.pools[stack.Orders].Query(ctx, idsSQL))
	if err != nil {
		return nil, err
	}
	var missing []int64
	again := 0
	for id, user := range before {
		switch other, there := now[id]; {
		case !there:
			missing = append(missing, id)
		case other != user:
			again++
		}
	}
	if again > 0 {
		s.Failed("%d order ids were given out twice", again)
	}
	slices.Sort(missing)
	return missing, nil
}

func usersByOrder(rows pgx.Rows, err error) (map[int64]string, error) {
	if err != nil {
		return nil, fmt.Errorf("read the orders: %w", err)
	}
	users := map[int64]string{}
	var id int64
	var user string
	if _, err := pgx.ForEachRow(rows, []any{&id, &user}, func() error { users[id] = user; return nil }); err != nil {
		return nil, fmt.Errorf("read the orders: %w", err)
	}
	return users, nil
}

// recoverLost does what the runbook says, while everything runs: Orders is given what the sagas
// know, once those have begun again, and the commands that came too early are redriven.
func (s *Environment) recoverLost(ctx context.Context, lost *loss) error {
	if len(lost.published) == 0 || len(lost.published) == len(lost.orders) {
		s.Failed("of %d lost orders %d are on the topic: some should be, and some not", len(lost.orders), len(lost.published))
	}
	s.expectGone(lost)
	if err := s.Until(ctx, time.Minute, "the orchestrator has read what Orders published", s.everyOrderIsRead); err != nil {
		return err
	}
	const recoverLine = `cd %q && psql "$ORCHESTRATOR_DB" -At -f docs/recover-orders.sql | psql "$ORDERS_DB" -q -v ON_ERROR_STOP=1 --single-transaction`
	if _, err := s.shell(ctx, fmt.Sprintf(recoverLine, s.workspace)); err != nil {
		return err
	}
	if err := s.redriveOrders(ctx); err != nil {
		return err
	}
	const thereSQL = `select count(*) from orders where id = any($1)`
	err := s.Until(ctx, time.Minute, "the orders can be counted", func(ctx context.Context) (bool, error) {
		there := s.count(ctx, s.pools[stack.Orders], thereSQL, lost.orders)
		if there != unknown && there != int64(len(lost.published)) {
			s.Failed("%d of %d lost orders that are on the topic were recovered", there, len(lost.published))
		}
		return there != unknown, nil
	})
	s.Measured("the standby lacked %d orders: %d of them were on the topic and are there again, %d were in no message and are lost",
		len(lost.orders), len(lost.published), len(lost.orders)-len(lost.published))
	return err
}

// redriveOrders has Orders carry out what it was commanded to before it had the orders again.
func (s *Environment) redriveOrders(ctx context.Context) error {
	db := s.pools[stack.Orders]
	const openSQL = `select (select count(*) from job where state <> 'finished') + (select count(*) from parked_keys)`
	s.Measured("%d commands for lost orders had been set aside, and %d behind them", s.count(ctx, db, deadSQL), s.count(ctx, db, behindSQL))
	if s.count(ctx, db, deadSQL) == 0 {
		return nil
	}
	if _, err := s.shell(ctx, `waybill dlq redrive --service=orders --all --reason="the orders are there again"`); err != nil {
		return err
	}
	return s.Until(ctx, time.Minute, "the commands for lost orders have been carried out", func(ctx context.Context) (bool, error) {
		return s.count(ctx, db, openSQL) == 0, nil
	})
}

// expectGone has the audit know of what was lost, and of orders that were in no message.
func (s *Environment) expectGone(lost *loss) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.pools {
		s.audit.Restored = append(s.audit.Restored, audit.Restored{Database: name, From: lost.from, To: lost.to})
	}
	s.audit.Gone = map[int64]bool{}
	for _, id := range lost.orders {
		s.audit.Gone[id] = !slices.Contains(lost.published, id)
	}
}
