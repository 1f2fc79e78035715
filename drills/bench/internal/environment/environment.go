// Package environment is what the bench measures, seen from outside: processes whose CPU time and
// memory can be read, and databases that can be asked how far behind they are.
package environment

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Process is one process of a system.
type Process struct {
	Name string
	Pid  int
}

// Config says what a system consists of.
type Config struct {
	// Processes returns those that run now; a restarted one has another pid.
	Processes func() []Process
	// Addrs are where orders are placed, host:port.
	Addrs []string
	// Orders is the URL of the database with the table orders.
	Orders string
	// Outboxes are the URLs of the databases with outboxes, by name.
	Outboxes map[string]string
}

// System is open connections to a running environment. Its methods are for one goroutine.
type System struct {
	Config
	orders   *pgxpool.Pool
	outboxes map[string]*pgxpool.Pool
	names    []string
	lowest   int64 // no order below it is PENDING
}

// Connect opens a system's databases.
func Connect(ctx context.Context, cfg Config) (_ *System, err error) {
	s := &System{Config: cfg, outboxes: map[string]*pgxpool.Pool{}}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.orders, err = Open(ctx, cfg.Orders); err != nil {
		return nil, err
	}
	for name, url := range cfg.Outboxes {
		if s.outboxes[name], err = Open(ctx, url); err != nil {
			return nil, err
		}
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	return s, nil
}

// Open returns a small pool, whose sessions say whose they are.
func Open(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("a database's URL cannot be parsed") // the error would show the password
	}
	config.MaxConns = 2
	config.ConnConfig.RuntimeParams["application_name"] = "bench"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open a database: %w", err)
	}
	return pool, nil
}

// Close closes the connections.
func (s *System) Close() {
	if s.orders != nil {
		s.orders.Close()
	}
	for _, pool := range s.outboxes {
		if pool != nil {
			pool.Close()
		}
	}
}

// Orders is the database with the table orders.
func (s *System) Orders() *pgxpool.Pool { return s.orders }

// Outboxes are the names of the databases with outboxes, sorted.
func (s *System) Outboxes() []string { return s.names }

// The ids that were drawn last are looked at again and again, those of long ago are not: what it
// costs to ask does not grow with the table.
const pendingSQL = `select count(*), coalesce(min(id), 0) from orders where status = 'PENDING' and id >= $1`

const lastOrderSQL = `select coalesce(max(id), 0) from orders`

// margin is how far apart two orders can be that are placed at the same moment, in ids.
const margin = 5000

// Pending is how many orders are PENDING.
func (s *System) Pending(ctx context.Context) (int64, error) {
	var last, pending, lowest int64
	if err := s.orders.QueryRow(ctx, lastOrderSQL).Scan(&last); err != nil {
		return 0, fmt.Errorf("count the pending orders: %w", err)
	}
	if err := s.orders.QueryRow(ctx, pendingSQL, s.lowest).Scan(&pending, &lowest); err != nil {
		return 0, fmt.Errorf("count the pending orders: %w", err)
	}
	if pending == 0 {
		lowest = last
	}
	s.lowest = max(s.lowest, lowest-margin)
	return pending, nil
}

const unpublishedSQL = `
select greatest(0, (select coalesce(max(id), 0) from outbox) - coalesce(upper(published), 1) + 1) from outbox_cursor`

// Unpublished is how many outbox rows of a database are above its relay's cursor.
func (s *System) Unpublished(ctx context.Context, name string) (rows int64, err error) {
	if err := s.outboxes[name].QueryRow(ctx, unpublishedSQL).Scan(&rows); err != nil {
		return 0, fmt.Errorf("count the unpublished rows of %s: %w", name, err)
	}
	return rows, nil
}
