package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

// Two instances, many clients who send each of their movements to both, and orders that come and go
// meanwhile: each movement takes effect once, everybody is answered, and all of it adds up.
func TestInventory_MovementsAndOrdersAddUpOverTwoInstances(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	services := []*service{s.start(), s.start()}
	const skus, clients, rounds, orders = 3, 8, 8, 150
	name := func(i int) string { return fmt.Sprint("sku", i%skus) }
	for i := range skus {
		services[0].put(name(i), 100)
	}
	var commands []contracts.Message
	for order := range int64(orders) {
		commands = append(commands, reserve(order+1, name(int(order)), 3))
		if order%3 == 0 {
			commands = append(commands, release(order+1))
		}
	}
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range rounds {
				body := fmt.Sprintf(`{"delta":%d,"reason":"client %d"}`, c%3+1, c)
				key := fmt.Sprintf("client %d request %d", c, i)
				first := move(t, services[i%2], name(c+i), body, key)
				require.Equal(t, first, move(t, services[(i+1)%2], name(c+i), body, key), "the same answer")
			}
		})
	}
	s.send(commands...)
	wg.Wait()
	s.answers(len(commands))

	var moved, received int64
	for c := range clients {
		moved += int64(rounds * (c%3 + 1))
	}
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select sum(received)::bigint from stock").Scan(&received))
	require.Equal(t, skus*100+moved, received)
	rows, err := s.db.Pool.Query(t.Context(), "select sku from stock_audit")
	require.NoError(t, err)
	broken, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Empty(t, broken)
}

// move posts a movement and returns the answer, which must be a success.
func move(t *testing.T, v *service, sku, body, key string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+v.addr+"/v1/stock/"+sku+"/movements", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var answer strings.Builder
	require.NoError(t, response.Write(&answer))
	require.Equal(t, http.StatusOK, response.StatusCode, answer.String())
	_, content, _ := strings.Cut(answer.String(), "\r\n\r\n")
	return content
}
