package postgres_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill/orders/internal/order"
)

// Clients who order at the same time share transactions, and must not notice: each gets the id of its
// own order, and one whose order the table refuses is the only one to hear of it.
func TestClientsWhoOrderAtOnceEachGetTheirOwnOrder(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	const clients, refused = 64, 13
	ids, errs := make([]int64, clients), make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			draft := order.Draft{UserID: "u" + strconv.Itoa(i), SKU: "s", Quantity: int32(i + 1)}
			if i == refused {
				draft.Quantity = -1 // the HTTP API lets no such order through
			}
			ids[i], errs[i] = store.Place(t.Context(), draft, "")
		})
	}
	wg.Wait()
	for i := range clients {
		if i == refused {
			require.ErrorContains(t, errs[i], "orders_quantity_range")
			continue
		}
		require.NoError(t, errs[i])
		got, err := store.Get(t.Context(), ids[i])
		require.NoError(t, err)
		require.Equal(t, "u"+strconv.Itoa(i), got.UserID)
	}
	require.Len(t, created(t, db), clients-1)
	var transactions int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(distinct xmin::text) from orders").Scan(&transactions))
	require.Less(t, transactions, clients-1, "nobody shared a transaction")
}
