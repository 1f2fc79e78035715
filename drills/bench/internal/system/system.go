// Package system is the stack under test as the bench sees it: processes whose CPU time and memory
// can be read, databases that can be asked how far behind they are, and what happens between two
// looks.
package system

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill/devstack/stack"
)

// System is a running stack. Its methods are for one goroutine.
type System struct {
	// State is read again by whoever restarts a process.
	State func() stack.State

	databases map[string]*pgxpool.Pool
	lowest    int64 // no order below it is PENDING
}

// Connect opens the stack's databases.
func Connect(ctx context.Context, state func() stack.State) (*System, error) {
	s := &System{State: state, databases: map[string]*pgxpool.Pool{}}
	for name, url := range state().Databases {
		config, err := pgxpool.ParseConfig(url)
		if err != nil {
			return nil, fmt.Errorf("the URL of database %s cannot be parsed", name) // it holds a password
		}
		config.MaxConns = 2
		config.ConnConfig.RuntimeParams["application_name"] = "bench"
		if s.databases[name], err = pgxpool.NewWithConfig(ctx, config); err != nil {
			return nil, fmt.Errorf("open database %s: %w", name, err)
		}
	}
	return s, nil
}

// Close closes the databases.
func (s *System) Close() {
	for _, pool := range s.databases {
		pool.Close()
	}
}

// Addr is where a process of the stack listens.
func (s *System) Addr(name string) string {
	p, _ := s.State().Process(name)
	return p.Addr
}

// Databases are the names of the databases, sorted.
func (s *System) Databases() []string { return slices.Sorted(maps.Keys(s.databases)) }

// Database is one of them.
func (s *System) Database(name string) *pgxpool.Pool { return s.databases[name] }

// A range of the index on (status, id): what was pending before and is not any more does not cost
// another look.
const pendingSQL = `select count(*), coalesce(min(id), 0) from orders where status = 'PENDING' and id >= $1`

const lastOrderSQL = `select coalesce(max(id), 0) from orders`

// Pending is how many orders are PENDING.
func (s *System) Pending(ctx context.Context) (int64, error) {
	orders := s.databases[stack.Orders]
	var last, pending, lowest int64
	if err := orders.QueryRow(ctx, lastOrderSQL).Scan(&last); err != nil {
		return 0, fmt.Errorf("count the pending orders: %w", err)
	}
	if err := orders.QueryRow(ctx, pendingSQL, s.lowest).Scan(&pending, &lowest); err != nil {
		return 0, fmt.Errorf("count the pending orders: %w", err)
	}
	if lowest == 0 {
		// Ids are drawn before they can be seen: leave room for those that are under way.
		lowest = last - 5000
	}
	s.lowest = max(s.lowest, lowest)
	return pending, nil
}

const unpublishedSQL = `
select (select coalesce(max(id), 0) from outbox) - coalesce(upper(published), 1) + 1 from outbox_cursor`

// Unpublished is how many outbox rows of a database are above its relay's cursor.
func (s *System) Unpublished(ctx context.Context, database string) (int64, error) {
	var rows int64
	err := s.databases[database].QueryRow(ctx, unpublishedSQL).Scan(&rows)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return 0, fmt.Errorf("count the unpublished rows of %s: %w", database, err)
	}
	return max(0, rows), nil
}
