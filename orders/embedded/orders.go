package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/orchestrator/orderflow"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/order"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
)

// orders are the orders and their sagas.
type orders struct {
	*postgres.Store

	pool  *pgxpool.Pool
	sagas *runner.Runner
}

const allocateSQL = `select nextval('orders_id_seq') as id, now() as at from generate_series(1, $1::int)`

const insertSQL = `
insert into orders (id, user_id, sku, quantity, note, created_at, updated_at) overriding system value
select id, user_id, sku, quantity, note, $6, $6
from unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::bigint[]) as draft (user_id, sku, quantity, note, id)`

// PlaceAll writes orders, their sagas and the sagas' first commands in one transaction, all or
// none. It takes two round trips, as in Orders.
func (o *orders) PlaceAll(ctx context.Context, requests []order.Request) ([]order.Placed, error) {
	placed, now, err := o.allocate(ctx, len(requests))
	if err != nil {
		return nil, err
	}
	batch := &pgx.Batch{} // without begin and commit it is one transaction
	if err := o.insert(batch, requests, placed, now); err != nil {
		return nil, err
	}
	if err := o.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("place %d orders: %w", len(requests), err)
	}
	return placed, nil
}

// allocate returns ids for n new orders, and the time on the database's clock.
func (o *orders) allocate(ctx context.Context, n int) (placed []order.Placed, now time.Time, err error) {
	rows, err := o.pool.Query(ctx, allocateSQL, n)
	if err != nil {
		return nil, now, fmt.Errorf("allocate ids: %w", err)
	}
	placed, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (p order.Placed, err error) { return p, r.Scan(&p.ID, &now) })
	if err != nil {
		return nil, now, fmt.Errorf("allocate ids: %w", err)
	}
	return placed, now, nil
}

func (o *orders) insert(batch *pgx.Batch, requests []order.Request, placed []order.Placed, now time.Time) error {
	n := len(requests)
	users, skus, notes := make([]string, n), make([]string, n), make([]string, n)
	quantities, ids, starts := make([]int32, n), make([]int64, n), make([]saga.Message, n)
	for i, r := range requests {
		users[i], skus[i], quantities[i], notes[i], ids[i] = r.UserID, r.SKU, r.Quantity, r.Note, placed[i].ID
		var err error
		if starts[i], err = orderflow.Message(order.Placement{Request: r, ID: placed[i].ID}.Event(now), r.TraceParent); err != nil {
			return err
		}
	}
	batch.Queue(insertSQL, users, skus, quantities, notes, ids, now)
	return o.sagas.QueueStart(batch, starts...)
}

// RequestCancel hands a client's wish to cancel to the order's saga, and returns the order as it
// is.
func (o *orders) RequestCancel(ctx context.Context, c order.Cancellation) (order.Order, error) {
	found, err := o.Get(ctx, c.OrderID)
	if err != nil {
		return order.Order{}, err
	}
	wish, err := orderflow.Message(c.Event(time.Now()), c.TraceParent)
	if err != nil {
		return order.Order{}, err
	}
	return found, pgx.BeginFunc(ctx, o.pool, func(tx pgx.Tx) error {
		return o.sagas.Deliver(ctx, tx, wish)
	})
}
