package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill/contracts"
	"waybill/orders/internal/order"
	"waybill/outbox"
)

// The lock decides which is first where a client cancels an order while it is being confirmed: the
// events of one order then stand in the outbox as their changes happened.
const lockOneSQL = `select ` + columns + ` from orders where id = $1 for no key update`

// RequestCancel tells the saga, by an OrderCancelRequested event, that a client wants an order
// cancelled, and returns the order as it is. A CANCELLED order is left alone. It returns
// [order.ErrNotFound] where there is no order of that id.
func (s *Store) RequestCancel(ctx context.Context, id int64, reason, traceparent string) (order.Order, error) {
	var found order.Order
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, lockOneSQL, id)
		if err != nil {
			return fmt.Errorf("lock order: %w", err)
		}
		found, err = one(rows)
		if err != nil || found.Status == order.Cancelled {
			return err
		}
		event, err := message(contracts.OrderCancelRequested{
			Envelope: contracts.NewEnvelope(id, uuid.Nil, time.Now()), Reason: reason,
		}, traceparent)
		if err != nil {
			return err
		}
		return outbox.Append(ctx, tx, event)
	})
	if err != nil {
		return order.Order{}, fmt.Errorf("request to cancel: %w", err)
	}
	return found, nil
}
