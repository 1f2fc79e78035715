package postgres_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/order"
)

// Each page of the list is a range of an index, whatever else is in the table, and even where the
// planner believes that nearly every order is PENDING and a user's.
func TestList_ReadsOneIndexBackwards(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	_, err := db.Pool.Exec(t.Context(), `
insert into orders (user_id, sku, quantity) select 'u7', 's', 1 from generate_series(1, 20000);
analyze orders;
update orders set status = 'CONFIRMED' where id > 3;`)
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		filter order.Filter
		index  string
	}{
		"all":            {order.Filter{}, "orders_pkey"},
		"a user's":       {order.Filter{UserID: "u7"}, "orders_user_id"},
		"a rare status":  {order.Filter{Status: order.Pending}, "orders_pkey"},
		"user and state": {order.Filter{Status: order.Confirmed, UserID: "u7"}, "orders_user_id"},
	} {
		sql, args := postgres.ListQuery(tt.filter, order.Page{Before: 19_000, Limit: 50})
		rows, err := db.Pool.Query(t.Context(), "explain "+sql, args)
		require.NoError(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Contains(t, strings.Join(plan, "\n"), "Index Scan Backward using "+tt.index, name)
		_, _, err = store.List(t.Context(), tt.filter, order.Page{Before: 19_000, Limit: 50})
		require.NoError(t, err)
	}
}

// A page by status looks at a bounded part of the orders, however rare the status is, and the next
// page goes on where it ended.
func TestList_GoesOnWhereTheSearchEnded(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	const looked = 25_000
	orders := 60_000
	if n := os.Getenv("WAYBILL_TEST_ORDERS"); n != "" { // to see how long a page takes
		var err error
		orders, err = strconv.Atoi(n)
		require.NoError(t, err)
	}
	_, err := db.Pool.Exec(t.Context(), `
insert into orders (user_id, sku, quantity, status)
select 'u7', 's', 1, case when i in (2, 3, 4) then 'PENDING' else 'CONFIRMED' end from generate_series(1, $1::int) i`, orders)
	require.NoError(t, err)
	var found, nexts []int64
	for page := (order.Page{Limit: 2}); ; {
		began := time.Now()
		pending, next, err := store.List(t.Context(), order.Filter{Status: order.Pending}, page)
		require.NoError(t, err)
		t.Logf("a page took %s", time.Since(began))
		for _, o := range pending {
			found = append(found, o.ID)
		}
		if next == 0 {
			break
		}
		page.Before = next
		nexts = append(nexts, next)
	}
	require.Equal(t, []int64{4, 3, 2}, found)
	require.EqualValues(t, orders-looked+1, nexts[0])
	require.Len(t, nexts, (orders-1)/looked+1, "of full searches, and one page of two")
	require.EqualValues(t, 3, nexts[len(nexts)-1])
}

// Confirming an order, and cancelling one, writes no index: all versions of the rows are in their
// pages.
func TestSave_UpdatesAreHeapOnly(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	const n = 300
	requests := make([]order.Request, n)
	for i := range requests {
		requests[i].Draft = order.Draft{UserID: "u1", SKU: "burger", Quantity: 1, Note: "a note of ordinary length"}
	}
	placed, err := store.PlaceAll(t.Context(), requests)
	require.NoError(t, err)
	changes := make([]order.Change, n)
	for i, p := range placed {
		changes[i] = order.Change{OrderID: p.ID, From: order.State{Status: order.Pending}, To: order.State{Status: order.Confirmed}}
		if i%10 == 0 {
			changes[i].To = order.State{Status: order.Cancelled, Reason: "sold out"}
		}
	}
	var updated, heapOnly int
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		store.Save(batch, order.Decision{Changes: changes})
		if err := tx.SendBatch(t.Context(), batch).Close(); err != nil {
			return err
		}
		return tx.QueryRow(t.Context(), `
select pg_stat_get_xact_tuples_updated('orders'::regclass), pg_stat_get_xact_tuples_hot_updated('orders'::regclass)`).Scan(&updated, &heapOnly)
	}))
	require.Equal(t, n, updated)
	require.Equal(t, n, heapOnly)
}
