package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"waybill.example/orders/order"
)

// A page is a backward scan of one index, from the cursor on, until there are enough:
//
//	Limit
//	  ->  Index Scan Backward using orders_status on orders
//	        Index Cond: ((ROW(status, id) < ROW('PENDING', 4711)) AND (ROW(status, id) > ROW('PENDING', 0)))
//
// Compared as rows, and not as "status = … and id < …", because for that the planner may as well
// read all orders by id and filter them, where its statistics say that the status is common. They
// are wrong when it matters: after a backlog has drained, none of a million orders is PENDING.
const (
	listSQL = `
select ` + columns + ` from orders
where id < @before
order by id desc limit @limit`

	listByStatusSQL = `
select ` + columns + ` from orders
where (status, id) < (@status, @before::bigint) and (status, id) > (@status, 0::bigint)
order by status desc, id desc limit @limit`

	// A status is a filter on the user's orders.
	listByUserSQL = `
select ` + columns + ` from orders
where (user_id, id) < (@user_id, @before::bigint) and (user_id, id) > (@user_id, 0::bigint)
  and (@status = '' or status = @status)
order by user_id desc, id desc limit @limit`
)

// List returns a page of the orders that the filter chooses, newest first.
func (s *Store) List(ctx context.Context, f order.Filter, p order.Page) ([]order.Order, error) {
	sql, args := listQuery(f, p)
	rows, err := s.pool.Query(ctx, sql, args)
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

func listQuery(f order.Filter, p order.Page) (string, pgx.NamedArgs) {
	sql := listSQL
	switch {
	case f.UserID != "":
		sql = listByUserSQL
	case f.Status != "":
		sql = listByStatusSQL
	}
	return sql, pgx.NamedArgs{
		"status": string(f.Status), "user_id": f.UserID, "before": cmp.Or(p.Before, math.MaxInt64), "limit": p.Limit,
	}
}
