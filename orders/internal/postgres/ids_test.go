package postgres_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/order"
)

// A shard whose database allocates ids of another is refused before it has allocated one, and what
// the refusal proposes makes it right, also in a database with orders.
func TestStore_AShardAllocatesOnlyIDsThatItOwns(t *testing.T) {
	t.Parallel()
	for number, ids := range []int64{2, 1_000_000_000_000} {
		db, store := start(t)
		require.NoError(t, store.CheckIDs(t.Context(), contracts.Shard{}))
		if number == 0 {
			id, err := store.Place(t.Context(), order.Request{Draft: order.Draft{UserID: "u", SKU: "burger", Quantity: 1}})
			require.NoError(t, err)
			require.EqualValues(t, 1, id)
		}
		shard, err := contracts.ShardNumber(int64(number))
		require.NoError(t, err)
		var foreign *postgres.ForeignIDsError
		require.ErrorAs(t, store.CheckIDs(t.Context(), shard), &foreign)
		_, proposed, found := strings.Cut(foreign.Error(), "run: ")
		require.True(t, found, foreign)
		_, err = db.Pool.Exec(t.Context(), proposed)
		require.NoError(t, err)
		require.NoError(t, store.CheckIDs(t.Context(), shard))
		require.ErrorContains(t, store.CheckIDs(t.Context(), contracts.Shard{}), "set ORDER_SHARD="+shard.String()+" on every instance")
		id, err := store.Place(t.Context(), order.Request{Draft: order.Draft{UserID: "u", SKU: "burger", Quantity: 1}})
		require.NoError(t, err)
		require.Equal(t, ids, id)
	}
}
