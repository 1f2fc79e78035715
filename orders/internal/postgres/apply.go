package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill/orders/internal/order"
)

// ErrConflict says that an order was not in the state that a change starts from.
var ErrConflict = errors.New("an order is not in the state that was expected")

// Rows are locked by id, so that two transactions which hold the same orders cannot deadlock.
const lockSQL = `
select id, status, coalesce(reason, '') as reason, now() as at
from orders where id = any($1)
order by id for no key update`

type locked struct {
	ID             int64
	Status, Reason string
	At             time.Time
}

// Lock returns the states of those of the orders that exist, and keeps them as they are until tx
// ends. at is the time of the transaction, which [Store.Change] stamps changes with.
func (*Store) Lock(ctx context.Context, tx pgx.Tx, ids []int64) (states map[int64]order.State, at time.Time, err error) {
	rows, err := tx.Query(ctx, lockSQL, ids)
	if err != nil {
		return nil, at, fmt.Errorf("lock orders: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[locked])
	if err != nil {
		return nil, at, fmt.Errorf("lock orders: %w", err)
	}
	states = make(map[int64]order.State, len(found))
	for _, l := range found {
		states[l.ID], at = order.State{Status: order.Status(l.Status), Reason: l.Reason}, l.At
	}
	return states, at, nil
}

const changeSQL = `
update orders
set status = change.status, reason = nullif(change.reason, ''), updated_at = now()
from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as change (id, expected, status, reason)
where orders.id = change.id and orders.status = change.expected`

// Change takes orders from one state to another, in one round trip. It returns [ErrConflict] if one
// of them is not in the state that its change starts from; tx must be rolled back then.
func (*Store) Change(ctx context.Context, tx pgx.Tx, changes []order.Change) error {
	if len(changes) == 0 {
		return nil
	}
	n := len(changes)
	ids, expected := make([]int64, n), make([]string, n)
	statuses, reasons := make([]string, n), make([]string, n)
	for i, c := range changes {
		ids[i], expected[i] = c.OrderID, string(c.From.Status)
		statuses[i], reasons[i] = string(c.To.Status), c.To.Reason
	}
	tag, err := tx.Exec(ctx, changeSQL, ids, expected, statuses, reasons)
	if err != nil {
		return fmt.Errorf("change %d orders: %w", n, err)
	}
	if tag.RowsAffected() != int64(n) {
		return fmt.Errorf("change %d orders, of which %d could be: %w", n, tag.RowsAffected(), ErrConflict)
	}
	return nil
}
