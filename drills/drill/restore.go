package drill

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/devstack/stack"
)

// A database is copied while everything runs, and some time later the copy takes its place: what a
// restore from a backup does, and a failover to a standby that had not received everything.

var restoreInventory = Drill{
	Name:    "restore-inventory",
	Promise: "Inventory's database is taken back to an earlier moment, under connected services: the commands since then are carried out again, and every order ends",
	For:     5 * time.Second, Within: 30 * time.Second,
	Processes: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		return s.goBack(ctx, d, stack.Inventory)
	},
}

var restoreOrchestrator = Drill{
	Name:    "restore-orchestrator",
	Promise: "the orchestrator's database is taken back to an earlier moment, under connected services: its sagas are begun again, and every order ends",
	For:     5 * time.Second, Within: 30 * time.Second,
	Processes: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		return s.goBack(ctx, d, stack.Orchestrator)
	},
}

var failover = Drill{
	Name:    "failover",
	Promise: "Inventory and the orchestrator fail over to standbys that lack the last second: nothing that Kafka holds is lost, and every order ends",
	For:     time.Second, Within: 30 * time.Second,
	Processes: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		return s.goBack(ctx, d, stack.Inventory, stack.Orchestrator)
	},
}

// The steps are those of the runbook's "A database was restored".
var restoreOrders = Drill{
	Name:    "restore-orders",
	Promise: "Orders' database is taken back to an earlier moment: the orders since then are recovered from their sagas, no id is given out twice, and every order ends",
	For:     5 * time.Second, Within: 30 * time.Second,
	Processes: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		if err := s.backUp(ctx, stack.Orders); err != nil {
			return err
		}
		if err := s.Wait(ctx, d); err != nil {
			return err
		}
		end := s.Outage("orders restored")
		defer end()
		if err := s.Act(ctx, stack.Stop, stack.Orders); err != nil {
			return err
		}
		// What never left the database is nowhere else.
		if err := s.Until(ctx, time.Minute, "every order has its saga", s.everyOrderHasItsSaga); err != nil {
			return err
		}
		if err := s.putBack(ctx, stack.Orders); err != nil {
			return err
		}
		if err := s.recoverOrders(ctx); err != nil {
			return err
		}
		return s.Act(ctx, stack.Start, stack.Orders)
	},
}

// goBack takes databases back by d.
func (s *Environment) goBack(ctx context.Context, d time.Duration, names ...string) error {
	for _, name := range names {
		if err := s.backUp(ctx, name); err != nil {
			return err
		}
	}
	if err := s.Wait(ctx, d); err != nil {
		return err
	}
	for _, name := range names {
		end := s.Fault(name + " restored")
		err := s.putBack(ctx, name)
		end()
		if err != nil {
			return err
		}
	}
	return nil
}

func backupOf(name string) string { return name + "_backup" }
func lostOf(name string) string   { return name + "_lost" }

// backUp copies a database. That takes an instant without sessions.
func (s *Environment) backUp(ctx context.Context, name string) error {
	// Consumers are refused for a moment, and requests may be, too.
	end := s.Outage(name + " backed up")
	defer end()
	if err := s.alone(ctx, name, "create database "+backupOf(name)+" template "+name); err != nil {
		return fmt.Errorf("back %s up: %w", name, err)
	}
	return nil
}

// putBack puts the copy in the place of a database, and has the audit know what was lost by it.
func (s *Environment) putBack(ctx context.Context, name string) error {
	lost := lostOf(name)
	if err := s.alone(ctx, name,
		fmt.Sprintf("alter database %s rename to %s", name, lost),
		fmt.Sprintf("alter database %s rename to %s", backupOf(name), name),
		fmt.Sprintf("alter database %s allow_connections true", lost)); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	if name == stack.Orders {
		s.mu.Lock()
		s.audit.KeysLost = time.Now()
		s.mu.Unlock()
	}
	return s.expectLost(ctx, name)
}

// alone runs statements while no session is connected to a database.
func (s *Environment) alone(ctx context.Context, name string, statements ...string) error {
	admin, err := s.connect(ctx, name, "postgres")
	if err != nil {
		return err
	}
	defer admin.Close(context.WithoutCancel(ctx))
	allow := "alter database %s allow_connections %t"
	if _, err := admin.Exec(ctx, fmt.Sprintf(allow, name, false)); err != nil {
		return err
	}
	const othersSQL = `select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1`
	if err := s.Until(ctx, 20*time.Second, "nobody is connected to "+name, func(ctx context.Context) (bool, error) {
		var others int
		err := admin.QueryRow(ctx, othersSQL, name).Scan(&others)
		return others == 0, err
	}); err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := admin.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	_, err = admin.Exec(ctx, fmt.Sprintf(allow, name, true))
	return err
}

// connect opens a connection to another database of the server that has the named one.
func (s *Environment) connect(ctx context.Context, name, database string) (*pgx.Conn, error) {
	u, err := url.Parse(s.stack.State().Databases[name])
	if err != nil {
		return nil, fmt.Errorf("the URL of the database %s: %w", name, err)
	}
	u.Path = "/" + database
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("connect to the database %s: %w", database, err)
	}
	return conn, nil
}

// expectLost tells the audit of the messages whose rows were lost: they are on the topics, and in
// no outbox.
func (s *Environment) expectLost(ctx context.Context, name string) error {
	conn, err := s.connect(ctx, name, lostOf(name))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "select event_id from outbox")
	if err != nil {
		return fmt.Errorf("read the lost outbox of %s: %w", name, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return fmt.Errorf("read the lost outbox of %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, lost := s.audit.Foreign, make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		lost[id] = true
	}
	s.audit.Foreign = func(id uuid.UUID, key string) bool {
		return lost[id] || before != nil && before(id, key)
	}
	return nil
}

func (s *Environment) everyOrderHasItsSaga(ctx context.Context) (bool, error) {
	last := s.count(ctx, s.pools[stack.Orders], `select coalesce(max(id), 0) from orders`)
	waiting := s.count(ctx, s.pools[stack.Orders], waitingSQL)
	begun := s.count(ctx, s.pools[stack.Orchestrator], `select count(*) from sagas where id = $1::text`, strconv.FormatInt(last, 10))
	return last != unknown && waiting == 0 && begun == 1, nil
}

// recoverOrders gives Orders what its sagas know of the orders that it has lost, before it is
// started.
func (s *Environment) recoverOrders(ctx context.Context) error {
	query, err := os.ReadFile(filepath.Join(s.workspace, "docs", "recover-orders.sql"))
	if err != nil {
		return fmt.Errorf("recover orders: %w", err)
	}
	rows, err := s.pools[stack.Orchestrator].Query(ctx, string(query))
	if err != nil {
		return fmt.Errorf("recover orders: %w", err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("recover orders: %w", err)
	}
	before := s.count(ctx, s.pools[stack.Orders], `select count(*) from orders`)
	if _, err := s.pools[stack.Orders].Exec(ctx, strings.Join(statements, "\n")); err != nil {
		return fmt.Errorf("recover orders: %w", err)
	}
	s.Measured("%d orders were recovered from their sagas", s.count(ctx, s.pools[stack.Orders], `select count(*) from orders`)-before)
	return nil
}
