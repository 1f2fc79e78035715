package drill

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/devstack/stack"
)

var failoverSync = Drill{
	Name: "failover-sync",
	Promise: "the Postgres primary is killed and its synchronous standby promoted: nothing is lost, services find it by themselves, " +
		"and do not go back to the old primary when that comes up again",
	For: 3 * time.Second, Within: 30 * time.Second,
	Standby:   stack.Synchronous,
	Processes: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		if err := s.Wait(ctx, d); err != nil {
			return err
		}
		if _, err := s.failOver(ctx); err != nil {
			return err
		}
		return s.oldPrimaryReturns(ctx, nil)
	},
}

// confirmedWithin is how soon after the death of the primary an order that came later is confirmed.
const confirmedWithin = 10 * time.Second

// failOver kills the primary of all databases and promotes its standby, which is all that is done:
// no service is restarted; those that are frozen are thawed then. It returns when the standby was a
// primary.
func (s *Environment) failOver(ctx context.Context, frozen ...string) (promoted time.Time, err error) {
	end := s.Outage("postgres killed, standby promoted")
	defer end()
	killed := time.Now()
	if err := s.Act(ctx, stack.Kill, stack.Postgres); err != nil {
		return promoted, err
	}
	if err := s.Act(ctx, stack.Promote, stack.Standby); err != nil {
		return promoted, err
	}
	promoted = time.Now()
	for _, name := range frozen {
		if err := s.Act(ctx, stack.Thaw, name); err != nil {
			return promoted, err
		}
	}
	const sinceSQL = `select count(*) from orders where status = 'CONFIRMED' and created_at > $1`
	if err := s.Until(ctx, time.Minute, "an order is confirmed", func(ctx context.Context) (bool, error) {
		return s.count(ctx, s.pools[stack.Orders], sinceSQL, killed) > 0, nil
	}); err != nil {
		return promoted, err
	}
	confirmed := time.Since(killed)
	s.Measured("the standby was a primary %.2f s after the old one was killed, and the first order placed since then was confirmed after %.2f s",
		promoted.Sub(killed).Seconds(), confirmed.Seconds())
	if confirmed > confirmedWithin {
		s.Failed("no order was confirmed within %s of the death of the primary", confirmedWithin)
	}
	return promoted, nil
}

// oldPrimaryReturns starts the old primary again as it was, which takes writes, and ends every
// session that services have with the new one, so that they connect again, to both hosts. Nobody
// may write to the old one. look, if it is not nil, is called while it runs.
func (s *Environment) oldPrimaryReturns(ctx context.Context, look func(context.Context) error) error {
	end := s.Outage("the old primary came back, and all sessions were ended")
	defer end()
	if err := s.Act(ctx, stack.Start, stack.Postgres); err != nil {
		return err
	}
	before, err := s.written(ctx)
	if err != nil {
		return err
	}
	const endSQL = `select count(pg_terminate_backend(pid)) from pg_stat_activity where usename ~ '_(service|relay)$'`
	s.Measured("%d sessions with the new primary were ended while the old one took writes", s.count(ctx, s.pools[stack.Orders], endSQL))
	if look != nil {
		if err := look(ctx); err != nil {
			return err
		}
	}
	if err := s.Wait(ctx, 3*time.Second); err != nil {
		return err
	}
	after, err := s.written(ctx)
	if err != nil {
		return err
	}
	for name, was := range before {
		if is := after[name]; is != was {
			s.Failed("the old primary was written to, in the database %s: %s became %s", name, was, is)
		}
	}
	return s.Act(ctx, stack.Kill, stack.Postgres)
}

// writtenSQL changes with whatever a service or the relay writes.
const writtenSQL = `
select format('outbox %s, epoch %s, positions %s', (select last_value from outbox_id_seq), (select epoch from outbox_cursor),
              (select coalesce(sum(next_offset), 0) from consumer_positions))`

// written says how far each database of the old primary has come.
func (s *Environment) written(ctx context.Context) (map[string]string, error) {
	found := map[string]string{}
	for name := range s.pools {
		conn, err := s.oldPrimary(ctx, name)
		if err != nil {
			return nil, err
		}
		var text string
		err = conn.QueryRow(ctx, writtenSQL).Scan(&text)
		conn.Close(context.WithoutCancel(ctx))
		if err != nil {
			return nil, fmt.Errorf("look at the old primary: %w", err)
		}
		found[name] = text
	}
	return found, nil
}

// oldPrimary connects to a database of the server that was the primary at first.
func (s *Environment) oldPrimary(ctx context.Context, name string) (*pgx.Conn, error) {
	return s.connectTo(ctx, stack.Postgres, name)
}

// connectTo connects to a database of one of the two servers.
func (s *Environment) connectTo(ctx context.Context, server, name string) (*pgx.Conn, error) {
	u, err := url.Parse(s.stack.State().Databases[name])
	if err != nil {
		return nil, fmt.Errorf("the URL of the database %s: %w", name, err)
	}
	u.Host, u.RawQuery = s.addr(server), "sslmode=disable"
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("connect to %s of %s: %w", name, server, err)
	}
	return conn, nil
}
