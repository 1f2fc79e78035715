package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/inventory/stock"
)

const lockReservationsSQL = `
select ` + reservationColumns + `
from reservations
where order_id = any ($1::bigint[])
order by order_id
for no key update`

// The skus that are asked for, and those that may be released. The array is built first, so that
// stock is read through its primary key, however many skus there are:
//
//	LockRows
//	  InitPlan 1 -> Nested Loop
//	    -> Index Scan using reservations_pkey on reservations r
//	    -> Append of the row's own sku and of those in its items
//	  -> Index Scan using stock_pkey on stock
//	       Index Cond: (sku = ANY ($1 || $0))
const lockStockSQL = `
select sku, on_hand
from stock
where sku = any ($1::text[] || array(
        select sku from reservation_lines where order_id = any ($2::bigint[]) and state = 'RESERVED'))
order by sku
for no key update`

// Load queues the reads that [stock.Decide] needs for commands, and returns what they will have
// found when the batch has been sent. The rows are locked until the transaction ends, in the order
// of their keys, whichever orders and lines name them, and all reservations before all stock, so
// that two transactions wait for one another but never in a ring.
func (*Store) Load(batch *pgx.Batch, commands []stock.Command) *stock.Known {
	var orders, releases []int64
	var skus []string
	for _, c := range commands {
		orders = append(orders, c.OrderID)
		if c.Action == stock.Release {
			releases = append(releases, c.OrderID)
		} else {
			for _, line := range c.Lines {
				skus = append(skus, line.SKU)
			}
		}
	}
	found := &stock.Known{OnHand: make(map[string]int64)}
	batch.Queue(lockReservationsSQL, orders).Query(func(rows pgx.Rows) (err error) {
		found.Reservations, err = pgx.CollectRows(rows, toReservation)
		return err
	})
	batch.Queue(lockStockSQL, skus, releases).Query(func(rows pgx.Rows) error {
		var sku string
		var items int64
		_, err := pgx.ForEachRow(rows, []any{&sku, &items}, func() error {
			found.OnHand[sku] = items
			return nil
		})
		return err
	})
	return found
}

const moveSQL = `
with moved as (
    update stock
    set on_hand = stock.on_hand + m.delta, updated_at = now()
    from unnest($1::text[], $2::bigint[]) as m (sku, delta)
    where stock.sku = m.sku
    returning 1)
select inbox_expect(count(*), cardinality($1)) from moved`

// A row that exists was decided by another transaction in the meantime. That takes two
// consumers that hold commands of one order, as they may for a moment when partitions move.
const addSQL = `
with added as (
    insert into reservations (order_id, sku, quantity, items, state, reason, created_at, updated_at)
    select order_id, nullif(sku, ''), nullif(quantity, 0), items::jsonb, state, reason, $7, $7
    from unnest($1::bigint[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[])
      as r (order_id, sku, quantity, items, state, reason)
    on conflict do nothing
    returning 1)
select inbox_expect(count(*), cardinality($1)) from added`

const releaseSQL = `
with released as (
    update reservations
    set state = 'RELEASED', updated_at = $2
    where order_id = any ($1::bigint[]) and state = 'RESERVED'
    returning 1)
select inbox_expect(count(*), cardinality($1)) from released`

// Save queues what was decided. Each statement fails with a serialization failure unless it hits as
// many rows as were decided: another transaction was faster, and the next attempt will find what it
// did. at is when reservations changed: the time of the events that say so. A sku is updated once,
// however many lines of how many orders name it.
func (*Store) Save(batch *pgx.Batch, d stock.Decision, at time.Time) {
	if len(d.Moves) > 0 {
		skus, deltas := make([]string, len(d.Moves)), make([]int64, len(d.Moves))
		for i, m := range d.Moves {
			skus[i], deltas[i] = m.SKU, m.Delta
		}
		batch.Queue(moveSQL, skus, deltas)
	}
	if len(d.Added) > 0 {
		batch.Queue(addSQL, append(columns(d.Added), at)...)
	}
	if len(d.Released) > 0 {
		batch.Queue(releaseSQL, d.Released, at)
	}
}
