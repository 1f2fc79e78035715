package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/orders/order"
)

// Rows are locked by id, so that two transactions which hold the same orders cannot deadlock.
const lockSQL = `
select id, status, coalesce(reason, '') as reason, coalesce(cancel_refused, '') as refused, updated_at, now() as at
from orders where id = any($1)
order by id for no key update`

// Load queues a read of what [order.Decide] needs for commands, and returns what it will have found
// once the batch has been sent. The orders stay as they are until the transaction ends.
func (*Store) Load(batch *pgx.Batch, commands []order.Command) *order.Known {
	ids := make([]int64, len(commands))
	for i, c := range commands {
		ids[i] = c.OrderID
	}
	known := &order.Known{Orders: make(map[int64]order.Current, len(ids))}
	batch.Queue(lockSQL, ids).Query(func(rows pgx.Rows) error {
		var (
			id                      int64
			status, reason, refused string
			since                   time.Time
		)
		_, err := pgx.ForEachRow(rows, []any{&id, &status, &reason, &refused, &since, &known.At}, func() error {
			state := order.State{Status: order.Status(status), Reason: reason, CancelRefused: refused}
			known.Orders[id] = order.Current{State: state, Since: since}
			return nil
		})
		return err
	})
	return known
}

// updated_at is when the status changed, and part of the event that says so: a refusal leaves it
// alone.
const changeSQL = `
with changed as (
    update orders
    set status = change.status, reason = nullif(change.reason, ''), cancel_refused = nullif(change.refused, ''),
        updated_at = case when orders.status = change.status then orders.updated_at else now() end
    from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[]) as change (id, expected, status, reason, refused)
    where orders.id = change.id and orders.status = change.expected
    returning 1)
select inbox_expect(count(*), cardinality($1)),` + NotifySQL + `
from changed`

// Save queues what was decided. It fails with a serialization failure if one of the orders is not
// in the state that its change starts from.
func (*Store) Save(batch *pgx.Batch, decision order.Decision) {
	changes := decision.Changes
	if len(changes) == 0 {
		return
	}
	n := len(changes)
	ids, expected := make([]int64, n), make([]string, n)
	statuses, reasons, refusals := make([]string, n), make([]string, n), make([]string, n)
	for i, c := range changes {
		ids[i], expected[i] = c.OrderID, string(c.From.Status)
		statuses[i], reasons[i], refusals[i] = string(c.To.Status), c.To.Reason, c.To.CancelRefused
	}
	batch.Queue(changeSQL, ids, expected, statuses, reasons, refusals)
}
