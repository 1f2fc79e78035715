package app_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orders/client"
)

// waiting is how many clients wait at the service.
func (s service) waiting(t *testing.T, n int) bool {
	t.Helper()
	_, metrics := s.get(t, "/metrics")
	return strings.Contains(metrics, fmt.Sprintf("\nwaybill_orders_waiting_clients %d\n", n))
}

// A command is handled by one instance, whichever has its partition. Clients wait at both, and each
// is answered.
func TestOrders_ClientsAreAnsweredAtEveryInstance(t *testing.T) {
	t.Parallel()
	db, broker := pgtest.New(t, migrations.Outbox, migrations.Orders), kafkatest.Start(t, contracts.Topics()...)
	const orders = 6
	commands := make([]kafkatest.Record, orders)
	instances := []service{start(t, db, broker.Addr()), start(t, db, broker.Addr())}
	statuses := make(chan client.Status, 2*orders)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range commands {
		instances[i%2].place(t)
		commands[i] = command(t, contracts.ConfirmOrder{Envelope: contracts.NewEnvelope(int64(i+1), uuid.New(), time.Now())})
	}
	for _, instance := range instances {
		c, err := client.New(instance.url)
		require.NoError(t, err)
		defer c.Close()
		for i := range commands {
			go func() {
				o, err := c.Wait(ctx, int64(i+1))
				if err != nil {
					t.Error(err)
				}
				statuses <- o.Status
			}()
		}
	}
	for _, instance := range instances {
		eventually(t, "all clients wait", func() bool { return instance.waiting(t, orders) })
	}
	broker.Produce(t, commands...)
	for range 2 * orders {
		require.Equal(t, client.Confirmed, <-statuses)
	}
}

// A process that is asked to stop answers those who wait with the order as it is.
func TestOrders_WhoWaitsIsAnsweredWhenTheServiceStops(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox, migrations.Orders)
	s := start(t, db, "127.0.0.1:1")
	s.place(t)
	answered := make(chan int, 1)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/orders/1", nil)
		if err != nil {
			t.Error(err)
			return
		}
		request.Header.Set("Prefer", "wait=30")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		response.Body.Close()
		answered <- response.StatusCode
	}()
	eventually(t, "the client waits", func() bool { return s.waiting(t, 1) })
	s.stop()
	require.Equal(t, http.StatusOK, <-answered)
}
