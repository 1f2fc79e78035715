package drill

import (
	"context"
	"fmt"
	"strings"
	"time"

	"waybill.example/devstack/stack"
)

// redriveRate is slow enough that the consumer can be killed in the middle.
const redriveRate = 20

var redriveInOrder = Drill{
	Name:    "redrive-in-order",
	Promise: "dead letters are redriven with one command, through a killed consumer: what waits behind each follows it, in order, and takes effect once",
	For:     12 * time.Second, Within: 20 * time.Second,
	// Inventory is asked again, and then told to release, while the first command of the order is
	// dead.
	Env: map[string][]string{
		stack.Orchestrator: {"RESERVE_DEADLINE=2s", "RESERVE_ATTEMPTS=2", "REPLY_DEADLINE=3s"},
	},
	Processes: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		end := s.Fault("inventory cannot write every fortieth order")
		defer end()
		if err := s.constrain(ctx, fortiethRefused); err != nil {
			return err
		}
		if err := s.Wait(ctx, d); err != nil {
			return err
		}
		if err := s.constrain(ctx, fortiethTaken); err != nil {
			return err
		}
		if err := s.nothingHeld(ctx); err != nil {
			return err
		}
		if err := s.redriveAll(ctx, redriveRate, true); err != nil {
			return err
		}
		return s.judgeRedrive(ctx)
	},
}

// What inventory's table refuses: every fortieth order, or none.
const (
	fortiethRefused = "add constraint drill check (order_id % 40 <> 0) not valid"
	fortiethTaken   = "drop constraint drill"
)

// constrain adds or removes the drill's constraint.
func (s *Environment) constrain(ctx context.Context, change string) error {
	if _, err := s.pools[stack.Inventory].Exec(ctx, "alter table reservations "+change); err != nil {
		return fmt.Errorf("change the constraints of inventory's reservations: %w", err)
	}
	return nil
}

// nothingHeld waits until the consumer has applied or set aside what it was still trying when the
// cause was gone. What it sets aside after a job has chosen its items is not in the job.
func (s *Environment) nothingHeld(ctx context.Context) error {
	return s.Until(ctx, time.Minute, "inventory to be done with what it was trying", func(ctx context.Context) (bool, error) {
		_, page, err := get(ctx, "http://"+s.addr(stack.Inventory)+"/metrics")
		return !strings.Contains(page, `waybill_consumer_blocked_seconds{group="inventory-service",reason="message"}`), err
	})
}

// redriveAll asks what it would be, starts the job, and waits for its end, and that of what
// follows. With kill, the consumer is killed in the middle of it.
func (s *Environment) redriveAll(ctx context.Context, rate int, kill bool) error {
	db := s.pools[stack.Inventory]
	dead, parked := s.count(ctx, db, deadSQL), s.count(ctx, db, behindSQL)
	if dead <= 0 || parked <= 0 {
		return fmt.Errorf("%d messages are dead and %d wait behind them: nothing can be tested", dead, parked)
	}
	args := []string{"dlq", "redrive", "--service=inventory", "--all", "--reason=the constraints are gone", fmt.Sprintf("--rate=%d", rate)}
	if _, err := s.waybill(ctx, append(args, "--dry-run")...); err != nil {
		return err
	}
	began := time.Now()
	if _, err := s.waybill(ctx, args...); err != nil {
		return err
	}
	if kill {
		if err := s.killInRedrive(ctx, dead); err != nil {
			return err
		}
	}
	const openSQL = `select (select count(*) from job where state <> 'finished') + (select count(*) from parked_keys)`
	err := s.Until(ctx, time.Minute, "the redrive is over", func(ctx context.Context) (bool, error) {
		return s.count(ctx, db, openSQL) == 0, nil
	})
	if err != nil {
		rest, _ := s.waybill(ctx, "dlq", "list", "--service=inventory")
		return fmt.Errorf("%w; open are:\n%s", err, rest)
	}
	s.Measured("%d dead letters and %d messages behind them when the cause was gone, of which the job took %d; all were applied in %s",
		dead, parked, s.count(ctx, db, `select total from job`), time.Since(began).Round(100*time.Millisecond))
	return nil
}

const (
	deadSQL   = `select count(*) from dead_letters where state = 'dead'`
	behindSQL = `select count(*) from dead_letters where state = 'parked'`
)

// killInRedrive kills the consumer when a third of the job is done.
func (s *Environment) killInRedrive(ctx context.Context, dead int64) error {
	const doneSQL = `select done + no_effect + refused from job`
	err := s.Until(ctx, time.Minute, "a third is redriven", func(ctx context.Context) (bool, error) {
		return s.count(ctx, s.pools[stack.Inventory], doneSQL) >= dead/3, nil
	})
	if err != nil {
		return err
	}
	if err := s.bounce(ctx, stack.Inventory, 0); err != nil {
		return err
	}
	s.Measured("inventory was killed after %d of them", s.count(ctx, s.pools[stack.Inventory], doneSQL))
	return nil
}

// What inventory answered, in the order in which it did so, against the order in which it was
// asked.
const overtakenSQL = `
select count(*) from (
    select i."offset" < lag(i."offset") over (partition by o.key order by o.id) as overtaken
      from outbox o join inbox i on i.event_id::text = o.headers ->> 'ce_causationid'
     where o.topic = 'inventory.v1') as answers
 where overtaken`

// judgeRedrive holds the job's results, and what came of the messages, to the promise.
func (s *Environment) judgeRedrive(ctx context.Context) error {
	db := s.pools[stack.Inventory]
	for what, sql := range map[string]string{
		"dead letters were not redriven as the job says":              `select count(*) from job_item where result <> 'done'`,
		"messages were not applied, once":                             `select count(*) from dead_letters where state <> 'redriven' or result <> 'applied'`,
		"answers came before those to earlier commands of their keys": overtakenSQL,
	} {
		if n := s.count(ctx, db, sql); n != 0 {
			s.Failed("%d %s", n, what)
		}
	}
	s.Measured("the longest queue of a key had %d messages; of %d answers none came before that to an earlier command of its key",
		s.count(ctx, db, `select coalesce(max(n), 0) from (select count(*) as n from dead_letters group by key_id) as queues`),
		s.count(ctx, db, `select count(*) from outbox where topic = 'inventory.v1'`))
	return nil
}
