package drill

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/devstack/stack"
)

var loginsRefused = Drill{
	Name:    "logins-refused",
	Promise: "the databases refuse every login: POSTs are answered 503 within 2 s, no message is set aside, and every order ends once logins are allowed",
	For:     8 * time.Second, Brief: 4 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		admin, err := s.connect(ctx, stack.Orders, "postgres")
		if err != nil {
			return err
		}
		defer admin.Close(context.WithoutCancel(ctx))
		names := []string{stack.Orders, stack.Inventory, stack.Orchestrator}
		end := s.Outage("logins refused")
		defer end()
		if err := allowLogins(ctx, admin, false, names...); err != nil {
			return err
		}
		const terminateSQL = `select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = any ($1)`
		var ended int
		if err := admin.QueryRow(ctx, terminateSQL, names).Scan(&ended); err != nil {
			return fmt.Errorf("end the sessions: %w", err)
		}
		if err := s.Wait(ctx, d); err != nil {
			return err
		}
		for _, name := range names {
			if err := stack.AskReady(ctx, s.addr(name)); err == nil {
				s.Failed("%s says that it is ready while its database refuses logins", name)
			}
		}
		if err := allowLogins(ctx, admin, true, names...); err != nil {
			return err
		}
		s.Measured("%d sessions were ended", ended)
		return nil
	},
}

func allowLogins(ctx context.Context, admin *pgx.Conn, yes bool, names ...string) error {
	for _, name := range names {
		sql := fmt.Sprintf("alter database %s allow_connections %t", pgx.Identifier{name}.Sanitize(), yes)
		if _, err := admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("set who may log in: %w", err)
		}
	}
	return nil
}

var lockHeld = Drill{
	Name:    "lock-held",
	Promise: "somebody holds the stock row of one sku: orders of other skus go on, /readyz names who it is, and the others end once it is released",
	For:     10 * time.Second, Brief: 5 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		holder, err := s.connect(ctx, stack.Inventory, stack.Inventory)
		if err != nil {
			return err
		}
		defer holder.Close(context.WithoutCancel(ctx))
		end := s.Fault("stock row of pizza locked")
		defer end()
		if _, err := holder.Exec(ctx, `set application_name = 'somebody'; begin; select from stock where sku = 'pizza' for update`); err != nil {
			return fmt.Errorf("lock a row: %w", err)
		}
		began := time.Now()
		if err := s.watchLock(ctx, began, d, holder.PgConn().PID()); err != nil {
			return err
		}
		if _, err := holder.Exec(ctx, `rollback`); err != nil {
			return fmt.Errorf("release a row: %w", err)
		}
		return nil
	},
}

// othersWithin is how soon an order has to end that does not need the row.
const othersWithin = 5 * time.Second

// watchLock looks at what the lock does to orders that do not need the row, and whether its holder
// is named.
func (s *Environment) watchLock(ctx context.Context, began time.Time, d time.Duration, pid uint32) error {
	const lateSQL = pendingSQL + ` and sku <> 'pizza' and created_at < $1`
	name := fmt.Sprintf("pid %d (somebody)", pid)
	named, late := false, int64(0)
	for time.Since(began) < d {
		if err := s.Wait(ctx, 200*time.Millisecond); err != nil {
			return err
		}
		late = max(late, s.count(ctx, s.pools[stack.Orders], lateSQL, time.Now().Add(-othersWithin)))
		if err := stack.AskReady(ctx, s.addr(stack.Inventory)); err != nil && !named && strings.Contains(err.Error(), name) {
			named = true
			s.Measured("/readyz of inventory named who holds the lock after %.1f s", time.Since(began).Seconds())
		}
	}
	const waitingSQL = pendingSQL + ` and sku = 'pizza'`
	s.Measured("%d orders of the locked sku waited", s.count(ctx, s.pools[stack.Orders], waitingSQL))
	if late > 0 {
		s.Failed("%d orders of other skus waited for the lock longer than %s", late, othersWithin)
	}
	if !named {
		s.Failed("/readyz of inventory did not name who holds the lock (%s)", name)
	}
	return nil
}
