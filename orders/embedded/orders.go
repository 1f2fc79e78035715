package embedded

import (
	"context"
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

// PlaceAll writes orders, their sagas and the sagas' first commands in one transaction, all or
// none.
func (o *orders) PlaceAll(ctx context.Context, requests []order.Request) ([]order.Placed, error) {
	return o.PlaceAllWith(ctx, requests, func(batch *pgx.Batch, placements []order.Placement, at time.Time) error {
		return o.start(ctx, batch, placements, at)
	})
}

// start queues the orders' sagas, and their first commands.
func (o *orders) start(ctx context.Context, batch *pgx.Batch, placements []order.Placement, at time.Time) error {
	starts := make([]saga.Message, len(placements))
	for i, p := range placements {
		var err error
		if starts[i], err = orderflow.Message(p.Event(at), p.TraceParent); err != nil {
			return err
		}
	}
	return o.sagas.QueueStart(ctx, batch, starts...)
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
