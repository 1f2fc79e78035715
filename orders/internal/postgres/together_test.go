package postgres_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/orders/order"
)

// Clients who order at the same time share transactions, and must not notice: each gets the id of
// its own order.
func TestPlace_ClientsWhoOrderAtOnceEachGetTheirOwnOrder(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	const clients = 64
	placeAtOnce(t, store, clients, none)
	require.Len(t, created(t, db), clients)
	var transactions int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(distinct xmin::text) from orders").Scan(&transactions))
	require.Less(t, transactions, clients, "no transaction was shared")
}

// Only the client whose order the table refuses gets an error.
func TestPlace_AnOrderThatIsRefusedHarmsNoOtherOfItsTransaction(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	const clients, refused = 64, 13
	placeAtOnce(t, store, clients, refused)
	require.Len(t, created(t, db), clients-1)
}

const none = -1

// placeAtOnce has every client place an order, of which the table refuses one, and checks that each
// got the answer to its own.
func placeAtOnce(t *testing.T, store *instance, clients, refused int) {
	t.Helper()
	ids, errs := make([]int64, clients), make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			draft := order.Draft{UserID: "u" + strconv.Itoa(i), SKU: "s", Quantity: int32(i + 1)}
			if i == refused {
				draft.Note = strings.Repeat("x", order.MaxTextRunes+1) // the HTTP API lets no such order through
			}
			ids[i], errs[i] = store.Place(t.Context(), order.Request{Draft: draft})
		})
	}
	wg.Wait()
	for i := range clients {
		if i == refused {
			require.ErrorContains(t, errs[i], "orders_note_length")
			continue
		}
		require.NoError(t, errs[i])
		got, err := store.Get(t.Context(), ids[i])
		require.NoError(t, err)
		require.Equal(t, "u"+strconv.Itoa(i), got.UserID)
	}
}
