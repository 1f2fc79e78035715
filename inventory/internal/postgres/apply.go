package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill/inventory/internal/stock"
)

// ErrConflict is wrapped by Apply's error when another transaction settled one of the orders in the
// meantime. That takes two consumers that hold commands of one order, as they may for a moment when
// partitions move. Try again: the transaction will find what the other one did.
var ErrConflict = errors.New("another transaction settled the same order")

// Apply makes the effects of commands inside tx, as if they came one after the other, and returns
// the answer to each. The rows that it reads are locked in the order of their keys, and all
// reservations before all stock, so that two transactions wait for one another but never in a ring.
// After an error tx has to be rolled back.
func (*Store) Apply(ctx context.Context, tx pgx.Tx, commands []stock.Command) ([]stock.Reply, error) {
	onHand, known, err := load(ctx, tx, commands)
	if err != nil {
		return nil, fmt.Errorf("lock stock for %d commands: %w", len(commands), err)
	}
	decision := stock.Decide(onHand, known, commands)
	if err := save(ctx, tx, decision); err != nil {
		return nil, fmt.Errorf("write reservations of %d commands: %w", len(commands), err)
	}
	return decision.Replies, nil
}

const lockReservationsSQL = `
select order_id, coalesce(sku, '') as sku, coalesce(quantity, 0) as quantity, state, reason, created_at, updated_at
from reservations
where order_id = any ($1::bigint[])
order by order_id
for no key update`

// The skus that are asked for, and those that may be given back. The array is built first, so that
// stock is read through its primary key, however many skus there are:
//
//	LockRows
//	  InitPlan 1 -> Index Scan using reservations_pkey on reservations
//	  -> Index Scan using stock_pkey on stock
//	       Index Cond: (sku = ANY ($1 || $0))
const lockStockSQL = `
select sku, on_hand
from stock
where sku = any ($1::text[] || array(
        select sku from reservations where order_id = any ($2::bigint[]) and state = 'RESERVED'))
order by sku
for no key update`

// load locks and reads what the decision needs, in one round trip.
func load(ctx context.Context, tx pgx.Tx, commands []stock.Command) (onHand map[string]int64, known []stock.Reservation, err error) {
	var orders, releases []int64
	var skus []string
	for _, c := range commands {
		orders = append(orders, c.OrderID)
		if c.Action == stock.Release {
			releases = append(releases, c.OrderID)
		} else {
			skus = append(skus, c.SKU)
		}
	}
	onHand = make(map[string]int64)
	var batch pgx.Batch
	batch.Queue(lockReservationsSQL, orders).Query(func(rows pgx.Rows) (err error) {
		known, err = pgx.CollectRows(rows, pgx.RowToStructByName[stock.Reservation])
		return err
	})
	batch.Queue(lockStockSQL, skus, releases).Query(func(rows pgx.Rows) error {
		var sku string
		var items int64
		_, err := pgx.ForEachRow(rows, []any{&sku, &items}, func() error {
			onHand[sku] = items
			return nil
		})
		return err
	})
	return onHand, known, tx.SendBatch(ctx, &batch).Close()
}

const moveSQL = `
update stock
set on_hand = stock.on_hand + m.delta, updated_at = now()
from unnest($1::text[], $2::bigint[]) as m (sku, delta)
where stock.sku = m.sku`

const addSQL = `
insert into reservations (order_id, sku, quantity, state, reason)
select order_id, nullif(sku, ''), nullif(quantity, 0), state, reason
from unnest($1::bigint[], $2::text[], $3::int[], $4::text[], $5::text[])
  as r (order_id, sku, quantity, state, reason)
on conflict do nothing`

const releaseSQL = `
update reservations
set state = 'RELEASED', updated_at = now()
where order_id = any ($1::bigint[]) and state = 'RESERVED'`

// save writes the decision in one round trip. Each statement must hit as many rows as were decided.
func save(ctx context.Context, tx pgx.Tx, d stock.Decision) error {
	var batch pgx.Batch
	queue := func(rows int, sql string, args ...any) {
		if rows == 0 {
			return
		}
		batch.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() != int64(rows) {
				return ErrConflict
			}
			return nil
		})
	}
	skus, deltas := make([]string, len(d.Moves)), make([]int64, len(d.Moves))
	for i, m := range d.Moves {
		skus[i], deltas[i] = m.SKU, m.Delta
	}
	queue(len(d.Moves), moveSQL, skus, deltas)
	queue(len(d.Added), addSQL, columns(d.Added)...)
	queue(len(d.Released), releaseSQL, d.Released)
	if batch.Len() == 0 {
		return nil // all of it was known
	}
	return tx.SendBatch(ctx, &batch).Close()
}

// columns turns reservations into one array a column, the shape that unnest takes.
func columns(added []stock.Reservation) []any {
	n := len(added)
	orders, skus, quantities := make([]int64, n), make([]string, n), make([]int32, n)
	states, reasons := make([]string, n), make([]string, n)
	for i, r := range added {
		orders[i], skus[i], quantities[i] = r.OrderID, r.SKU, r.Quantity
		states[i], reasons[i] = string(r.State), r.Reason
	}
	return []any{orders, skus, quantities, states, reasons}
}
