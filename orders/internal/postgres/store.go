// Package postgres loads and saves orders. The event that says what happened to an order goes into
// the outbox in the same transaction.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/orders/order"
	"waybill.example/sdk/outbox"
)

// SchemaVersion is the version of the migration set "orders" that this package needs.
const SchemaVersion = 5

// Store loads and saves orders in one database. It is safe for concurrent use.
type Store struct {
	pool *pgxpool.Pool
	// Outbox is how events are written: with which codec.
	Outbox outbox.Writer
}

// NewStore returns a store on a pool that it does not close.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

// row is an order as the table has it.
type row struct {
	ID        int64
	UserID    string
	SKU       string
	Quantity  int32
	Items     []order.Line
	Note      string
	Status    string
	Reason    string
	CreatedAt time.Time
	UpdatedAt time.Time

	CancelRequestedAt *time.Time
	CancelRefused     string
}

const columns = `id, user_id, coalesce(sku, '') as sku, coalesce(quantity, 0) as quantity, items, note, status, coalesce(reason, '') as reason, created_at, updated_at,
    cancel_requested_at, coalesce(cancel_refused, '') as cancel_refused`

func (r row) order() order.Order {
	o := order.Order{
		ID:        r.ID,
		Draft:     order.Draft{UserID: r.UserID, SKU: r.SKU, Quantity: r.Quantity, Items: r.Items, Note: r.Note},
		State:     order.State{Status: order.Status(r.Status), Reason: r.Reason, CancelRefused: r.CancelRefused},
		CreatedAt: r.CreatedAt.UTC(),
		UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.CancelRequestedAt != nil {
		o.CancelRequestedAt = r.CancelRequestedAt.UTC()
	}
	return o
}

const getSQL = `select ` + columns + ` from orders where id = $1`

// Get returns one order, or [order.ErrNotFound].
func (s *Store) Get(ctx context.Context, id int64) (order.Order, error) {
	rows, err := s.pool.Query(ctx, getSQL, id)
	if err != nil {
		return order.Order{}, fmt.Errorf("read order: %w", err)
	}
	return one(rows)
}

func one(rows pgx.Rows) (order.Order, error) {
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[row])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return order.Order{}, order.ErrNotFound
	case err != nil:
		return order.Order{}, fmt.Errorf("read order: %w", err)
	}
	return r.order(), nil
}
