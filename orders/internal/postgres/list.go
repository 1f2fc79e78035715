package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"waybill/orders/internal/order"
)

// List returns a page of the orders that the filter chooses, newest first.
func (s *Store) List(ctx context.Context, f order.Filter, p order.Page) ([]order.Order, error) {
	rows, err := s.pool.Query(ctx, listSQL(f, p), pgx.NamedArgs{
		"status": f.Status, "user_id": f.UserID, "before": p.Before, "limit": p.Limit,
	})
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	orders := make([]order.Order, len(found))
	for i, r := range found {
		orders[i] = r.order()
	}
	return orders, nil
}

// listSQL names only the conditions that apply, so that each combination has a plan of its own. A
// page is a backward scan of one index, from the cursor until there are enough:
//
//	Limit -> Index Scan Backward using orders_status on orders
//	           Index Cond: ((status = 'PENDING') AND (id < 4711))
//
// orders_user_id serves a user's orders likewise (a status is then a filter on them), orders_pkey
// the list of all.
func listSQL(f order.Filter, p order.Page) string {
	var conditions []string
	if f.Status != "" {
		conditions = append(conditions, "status = @status")
	}
	if f.UserID != "" {
		conditions = append(conditions, "user_id = @user_id")
	}
	if p.Before != 0 {
		conditions = append(conditions, "id < @before")
	}
	where := ""
	if len(conditions) > 0 {
		where = " where " + strings.Join(conditions, " and ")
	}
	return "select " + columns + " from orders" + where + " order by id desc limit @limit"
}
