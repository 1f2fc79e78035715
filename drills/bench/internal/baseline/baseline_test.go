package baseline_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/kafka"
	"waybill.example/chassis/postgres"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/loopback"
	"waybill.example/devstack/pgtest"
	"waybill.example/drills/bench/internal/baseline"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// An order goes all the way, by hand.
func TestBaseline_ConfirmsAnOrder(t *testing.T) {
	t.Parallel()
	port, err := loopback.FreePort()
	require.NoError(t, err)
	broker := kafkatest.Start(t, baseline.TopicOrders, baseline.TopicInventory)
	orders, inventory := pgtest.New(t), pgtest.New(t)
	for db, sql := range map[*pgtest.Database]string{
		orders: baseline.OrdersSchema, inventory: baseline.InventorySchema + "; insert into stock values ('burger', 10)",
	} {
		_, err := db.Pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	start := func(run func(context.Context, baseline.Config, *slog.Logger) error, db *pgtest.Database) {
		cfg := baseline.Config{
			Postgres: postgres.Config{URL: config.Secret(db.URL)}, Addr: loopback.Addr(port),
			Kafka: kafka.Config{Brokers: []string{broker.Addr()}, SecurityProtocol: "PLAINTEXT"},
		}
		running.Go(func() {
			if err := run(ctx, cfg, slog.New(slog.DiscardHandler)); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	start(baseline.Orders, orders)
	start(baseline.Inventory, inventory)
	require.Eventually(t, func() bool {
		order := strings.NewReader(`{"userId":"u","sku":"burger","quantity":1}`)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+loopback.Addr(port)+"/v1/orders", order)
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			answer.Body.Close()
		}
		return err == nil && answer.StatusCode == http.StatusAccepted
	}, time.Minute, 20*time.Millisecond)
	require.Eventually(t, func() bool {
		var confirmed bool
		require.NoError(t, orders.Pool.QueryRow(t.Context(), "select bool_and(status = 'CONFIRMED') from orders").Scan(&confirmed))
		return confirmed
	}, time.Minute, 20*time.Millisecond)
}
