package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"waybill.example/orders/order"
)

// A page is a backward scan of one index, from the cursor on, until there are enough. What a user
// has is compared as rows, and not as "user_id = … and id < …", because for that the planner may as
// well read all orders by id and filter them, where its statistics say that the user is common.
//
// No index leads to a status, because then each order's change of status would write into every
// index (decision 136). So a page by status looks at the newest searchRows orders from the cursor
// on:
//
//	Limit
//	  ->  Subquery Scan on orders
//	        Filter: ((status)::text = 'PENDING'::text)
//	        ->  Limit
//	              ->  Index Scan Backward using orders_pkey on orders orders_1
const (
	listSQL = `
select ` + columns + ` from orders
where id < @before
order by id desc limit @limit`

	listByStatusSQL = `
select ` + columns + ` from (select * from orders where id < @before order by id desc limit @rows) as orders
where status = @status
order by id desc limit @limit`

	// A status is a filter on the user's orders.
	listByUserSQL = `
select ` + columns + ` from orders
where (user_id, id) < (@user_id, @before::bigint) and (user_id, id) > (@user_id, 0::bigint)
  and (@status = '' or status = @status)
order by user_id desc, id desc limit @limit`

	searchedToSQL = `select id from orders where id < @before order by id desc limit 1 offset @rows - 1`
)

// searchRows is how many orders a page by status looks at: some 20 ms of them.
const searchRows = 25_000

// List returns a page of the orders that the filter chooses, newest first, and the id that the next
// page goes on below; 0: there is none. A page by status takes a bounded time however many orders
// there are: it can be short, or empty, and have a next.
func (s *Store) List(ctx context.Context, f order.Filter, p order.Page) (page []order.Order, next int64, err error) {
	sql, args := listQuery(f, p)
	rows, err := s.pool.Query(ctx, sql, args)
	if err != nil {
		return nil, 0, fmt.Errorf("list orders: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	if err != nil {
		return nil, 0, fmt.Errorf("list orders: %w", err)
	}
	if len(found) > p.Limit {
		found = found[:p.Limit]
		next = found[p.Limit-1].ID
	} else if sql == listByStatusSQL {
		if next, err = s.searchedTo(ctx, args); err != nil {
			return nil, 0, err
		}
	}
	page = make([]order.Order, len(found))
	for i, r := range found {
		page[i] = r.order()
	}
	return page, next, nil
}

// searchedTo is the last order that a page has looked at; 0 where it has looked at all.
func (s *Store) searchedTo(ctx context.Context, args pgx.NamedArgs) (id int64, err error) {
	err = s.pool.QueryRow(ctx, searchedToSQL, args).Scan(&id)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("list orders: %w", err)
	}
	return id, nil
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
		"status": string(f.Status), "user_id": f.UserID, "before": cmp.Or(p.Before, math.MaxInt64), "limit": p.Limit + 1, "rows": searchRows,
	}
}
