package app_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

// However two instances share the partitions, and whatever operators change meanwhile: each order
// gets all of its lines or none, no item is lost or sold twice, and nobody waits in a ring.
func TestInventory_TwoInstancesShareScarceStockAmongOrdersOfSeveralLines(t *testing.T) {
	t.Parallel()
	const skus, orders, each = 10, 200, 150
	s := newSystem(t)
	first := s.start()
	s.start()
	for i := range skus {
		first.put(fmt.Sprint("sku", i), each)
	}
	random := rand.New(rand.NewPCG(3, 4))
	var messages []contracts.Message
	for id := int64(1); id <= orders; id++ {
		var lines []contracts.Line
		for _, sku := range random.Perm(skus)[:1+random.IntN(skus)] {
			lines = append(lines, contracts.Line{SKU: fmt.Sprint("sku", sku), Quantity: 1 + random.Int32N(3)})
		}
		m := contracts.ReserveInventory{Envelope: contracts.NewEnvelope(id, uuid.Nil, time.Now())}
		m.SKU, m.Quantity, m.Items = contracts.Ordered(lines)
		messages = append(messages, m)
		if id%4 == 0 {
			messages = append(messages, release(id-1))
		}
	}
	var changes sync.WaitGroup
	changes.Go(func() {
		for i := range 3 * skus {
			path := fmt.Sprintf("/v1/stock/sku%d/movements", i%skus)
			status, answer, _ := first.do(http.MethodPost, path, `{"delta":1,"reason":"found"}`)
			require.Contains(t, []int{http.StatusOK, http.StatusCreated}, status, answer)
		}
	})
	s.send(messages...)
	answers := s.answers(len(messages))
	changes.Wait()
	require.Equal(t, orders, answers["InventoryReserved"]+answers["InventoryRejected"], "%v", answers)
	require.NotZero(t, answers["InventoryReserved"])
	require.NotZero(t, answers["InventoryRejected"], "there was not enough for all")

	s.eventually(func() bool { return s.committed() == int64(len(messages)) }, "every command is committed")
	var deadlocks int
	require.NoError(t, s.db.Pool.QueryRow(t.Context(),
		"select deadlocks from pg_stat_database where datname = current_database()").Scan(&deadlocks))
	require.Zero(t, deadlocks)
	rows, _ := s.db.Pool.Query(t.Context(), "select sku from stock_audit")
	broken, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Empty(t, broken)
	var received int
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select sum(received) from stock").Scan(&received))
	require.Equal(t, skus*(each+3), received)
}
