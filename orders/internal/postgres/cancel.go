package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/orders/order"
)

// The lock decides which is first where a client cancels an order while it is being confirmed: the
// events of one order then stand in the outbox as their changes happened.
const lockOneSQL = `select ` + columns + ` from orders where id = $1 for no key update`

const cancelRequestedSQL = `update orders set cancel_requested_at = now() where id = $1 returning cancel_requested_at`

// RequestCancel tells the saga, by an OrderCancelRequested event, that a client wants an order
// cancelled, and returns the order as it is. Nothing is written where the order is CANCELLED, or
// where it was asked before. It returns [order.ErrNotFound] where there is no order of that id, and
// [order.ErrKeyReused] where the request's key came before with another request.
func (s *Store) RequestCancel(ctx context.Context, c order.Cancellation) (order.Order, error) {
	var found order.Order
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, lockOneSQL, c.OrderID)
		if err != nil {
			return fmt.Errorf("lock order: %w", err)
		}
		if found, err = one(rows); err != nil {
			return err
		}
		if c.Key != "" {
			known, err := claimOne(ctx, tx, order.RequestKey{UserID: found.UserID, Key: c.Key}, c.Digest(), c.OrderID)
			if err != nil || known {
				return err
			}
		}
		if found.Status == order.Cancelled || !found.CancelRequestedAt.IsZero() {
			return nil
		}
		return s.requestCancel(ctx, tx, c)
	})
	if err != nil {
		return order.Order{}, fmt.Errorf("request to cancel: %w", err)
	}
	return found, nil
}

func (s *Store) requestCancel(ctx context.Context, tx pgx.Tx, c order.Cancellation) error {
	var at time.Time
	if err := tx.QueryRow(ctx, cancelRequestedSQL, c.OrderID).Scan(&at); err != nil {
		return fmt.Errorf("note the request: %w", err)
	}
	event, err := message(c.Event(at), c.TraceParent)
	if err != nil {
		return err
	}
	return s.Outbox.Append(ctx, tx, event)
}
