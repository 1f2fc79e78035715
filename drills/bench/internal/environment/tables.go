package environment

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// LastOrder is the id of the order that was placed last.
func (s *System) LastOrder(ctx context.Context) (id int64, err error) {
	if err := s.orders.QueryRow(ctx, lastOrderSQL).Scan(&id); err != nil {
		return 0, fmt.Errorf("look for the last order: %w", err)
	}
	return id, nil
}

const confirmedSQL = `
select coalesce(percentile_cont(0.5) within group (order by ms), 0), coalesce(percentile_cont(0.99) within group (order by ms), 0)
from (select 1000 * extract(epoch from updated_at - created_at)::float8 as ms from orders
      where id > $1 and id <= $2 and status = 'CONFIRMED') as confirmed`

// Confirmed returns how long it took from an order's transaction to the one that confirmed it, for
// the orders above one id and up to another.
func (s *System) Confirmed(ctx context.Context, above, upTo int64) (p50, p99 time.Duration, err error) {
	var middle, late float64
	if err := s.orders.QueryRow(ctx, confirmedSQL, above, upTo).Scan(&middle, &late); err != nil {
		return 0, 0, fmt.Errorf("look how long orders took: %w", err)
	}
	ms := float64(time.Millisecond)
	return time.Duration(middle * ms), time.Duration(late * ms), nil
}

// Table is the state of one table, as Postgres counts it.
type Table struct {
	Name    string // with its database's before it
	Live    int64
	Dead    int64
	Updated int64
	InPlace int64 // of the updates: heap-only
	Vacuums int64 // by autovacuum
	Bytes   int64 // with indexes
}

// DeadShare is how many dead rows there are per 100 rows.
func (t Table) DeadShare() float64 { return 100 * float64(t.Dead) / float64(max(1, t.Live+t.Dead)) }

// These grow with each order, or are written by each.
const tablesSQL = `
select $1 || '.' || relname, n_live_tup, n_dead_tup, n_tup_upd, n_tup_hot_upd, autovacuum_count, pg_total_relation_size(relid)
from pg_stat_user_tables
where relname in ('orders', 'sagas', 'saga_transitions', 'saga_attributes', 'reservations', 'stock_movements', 'outbox', 'inbox')
order by relname`

// Tables returns the large tables of all databases, in the same order each time.
func (s *System) Tables(ctx context.Context) (all []Table, err error) {
	for _, name := range s.names {
		rows, err := s.outboxes[name].Query(ctx, tablesSQL, name)
		if err != nil {
			return nil, fmt.Errorf("look at the tables of %s: %w", name, err)
		}
		tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Table])
		if err != nil {
			return nil, fmt.Errorf("look at the tables of %s: %w", name, err)
		}
		all = append(all, tables...)
	}
	return all, nil
}
