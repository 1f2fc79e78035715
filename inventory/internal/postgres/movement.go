package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/inventory/stock"
)

const movementColumns = `id, sku, kind, delta, on_hand, reserved, reason, actor, client, at`

// A page is a range of the index on (sku, id).
const movementsSQL = `
select ` + movementColumns + ` from stock_movements where sku = $1 and id < $2 order by id desc limit $3`

// Movements returns at most limit movements of a sku with ids below one, the newest first.
func (s *Store) Movements(ctx context.Context, sku string, below int64, limit int) ([]stock.Movement, error) {
	rows, err := s.pool.Query(ctx, movementsSQL, sku, below, limit)
	if err != nil {
		return nil, fmt.Errorf("read movements of %q: %w", sku, err)
	}
	movements, err := pgx.CollectRows(rows, pgx.RowToStructByName[stock.Movement])
	if err != nil {
		return nil, fmt.Errorf("read movements of %q: %w", sku, err)
	}
	return movements, nil
}

// holdersLooked is how many reservations one page looks at, at most: there is no index by sku,
// which each order would have to write.
const holdersLooked = 50_000

const (
	holdersRangeSQL = `
select case when count(*) < $2 then 0 else min(order_id) end from (
    select order_id from reservations where order_id < $1 order by order_id desc limit $2) as looked`
	holdersSQL = `
select order_id, line.quantity, r.updated_at as since
from reservation_lines line join reservations r using (order_id)
where order_id >= $2 and order_id < $3 and line.sku = $1 and line.state = 'RESERVED'
order by order_id desc limit $4`
)

// Holders returns at most limit orders that hold some of a sku, of those with ids below one, the
// newest first. It looks at a bounded number of reservations: next is the id to go on below, 0
// where there are none left.
func (s *Store) Holders(ctx context.Context, sku string, below int64, limit int) (held []stock.Holding, next int64, err error) {
	if err := s.pool.QueryRow(ctx, holdersRangeSQL, below, holdersLooked).Scan(&next); err != nil {
		return nil, 0, fmt.Errorf("read reservations of %q: %w", sku, err)
	}
	rows, err := s.pool.Query(ctx, holdersSQL, sku, next, below, limit)
	if err == nil {
		held, err = pgx.CollectRows(rows, pgx.RowToStructByName[stock.Holding])
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read reservations of %q: %w", sku, err)
	}
	if len(held) == limit {
		next = held[limit-1].OrderID
	}
	return held, next, nil
}
