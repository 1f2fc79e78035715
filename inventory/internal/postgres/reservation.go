package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/inventory/stock"
)

// row is a reservation as the table has it: an order of one line in sku and quantity, one of
// several in items, and one that was released before it was asked for in neither.
type row struct {
	OrderID   int64
	SKU       string
	Quantity  int32
	Items     []stock.Line
	State     stock.State
	Reason    string
	CreatedAt time.Time
	UpdatedAt time.Time
}

const reservationColumns = `order_id, coalesce(sku, '') as sku, coalesce(quantity, 0) as quantity, items, state, reason, created_at, updated_at`

func toReservation(from pgx.CollectableRow) (stock.Reservation, error) {
	r, err := pgx.RowToStructByPos[row](from)
	lines := r.Items
	if r.SKU != "" {
		lines = []stock.Line{{SKU: r.SKU, Quantity: r.Quantity}}
	}
	return stock.Reservation{
		OrderID: r.OrderID, Lines: lines, State: r.State, Reason: r.Reason, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}, err
}

const reservationSQL = `select ` + reservationColumns + ` from reservations where order_id = $1`

// Reservation returns what was decided for an order, or [stock.ErrNotFound].
func (s *Store) Reservation(ctx context.Context, orderID int64) (stock.Reservation, error) {
	rows, err := s.pool.Query(ctx, reservationSQL, orderID)
	if err != nil {
		return stock.Reservation{}, fmt.Errorf("read reservation of order %d: %w", orderID, err)
	}
	reservation, err := pgx.CollectExactlyOneRow(rows, toReservation)
	if errors.Is(err, pgx.ErrNoRows) {
		err = stock.ErrNotFound
	}
	if err != nil {
		return stock.Reservation{}, fmt.Errorf("read reservation of order %d: %w", orderID, err)
	}
	return reservation, nil
}

// columns turns reservations into one array per column, the shape that unnest takes.
func columns(added []stock.Reservation) []any {
	n := len(added)
	orders, skus, quantities := make([]int64, n), make([]string, n), make([]int32, n)
	items, states, reasons := make([]*string, n), make([]string, n), make([]string, n)
	for i, r := range added {
		orders[i], states[i], reasons[i] = r.OrderID, string(r.State), r.Reason
		switch len(r.Lines) {
		case 0:
		case 1:
			skus[i], quantities[i] = r.Lines[0].SKU, r.Lines[0].Quantity
		default:
			list, _ := json.Marshal(r.Lines) // strings and numbers always have a JSON form
			items[i] = new(string(list))
		}
	}
	return []any{orders, skus, quantities, items, states, reasons}
}
