// Package embedded is Orders with the order saga in it: an order, its saga and the saga's first
// command are written in one transaction, the replies of Inventory are handled here, and an order
// is confirmed in the transaction that handles the reply. Two messages per order in place of five,
// and two hops in place of four. The definition is that of the stand-alone orchestrator.
//
// It shows what sdk/saga/runner does for a service that embeds a saga, and what that is worth: the
// part "embedded" of the benchmark measures it against the stand-alone shape, behind the same HTTP
// API and on the same tables. It is no service of the stack, and has two limits that Orders has
// not: nothing is published about orders for others to read, and Idempotency-Key is not honoured.
package embedded

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/chassis/auditlog"
	"waybill.example/chassis/batch"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/kafka"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
	"waybill.example/chassis/telemetry"
	"waybill.example/contracts"
	"waybill.example/orchestrator/orderflow"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/orders/internal/httpapi"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/internal/watch"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/store"
)

// group is the consumer group, and the name in the inbox.
const group = "orders-embedded"

// maxBatch bounds the orders of one transaction.
const maxBatch = 500

// Config is everything that can be set.
type Config struct {
	service.Config

	Postgres chassispg.Config
	Kafka    kafka.Config
	Timing   ordersaga.Timing
}

// New waits for the database and wires the service. It does not wait for a broker.
func New(ctx context.Context, cfg Config, log *slog.Logger) (_ *service.App, err error) {
	pool, err := chassispg.Open(ctx, cfg.Postgres, "orders", postgres.BeginSession)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			pool.Close()
		}
	}()
	if err := chassispg.AwaitSchema(ctx, pool, log,
		chassispg.Schema{Set: "outbox", Version: auditlog.SchemaVersion},
		chassispg.Schema{Set: "orders", Version: postgres.SchemaVersion},
		chassispg.Schema{Set: "orchestrator", Version: store.SchemaVersion},
	); err != nil {
		return nil, err
	}
	topics := []string{contracts.TopicInventory}
	ends, err := kafka.NewEnds(cfg.Kafka, telemetry.Name(group), topics)
	if err != nil {
		return nil, err
	}
	stored := postgres.NewStore(pool)
	hub := watch.New(stored, log)
	sagas, err := newRunner(ctx, cfg, pool, ends, local{hub.Changed}, log)
	if err != nil {
		return nil, err
	}
	metrics := telemetry.Metrics()
	replies, err := kafka.NewConsumer(cfg.Kafka, kafka.ConsumerOptions{
		Group: group, ClientID: telemetry.Name(group), Topics: topics,
		Classify: chassispg.Classify, FailFast: chassispg.FailFast, Blockers: chassispg.NameBlockers(pool),
		Positions: sagas.Positions(),
	}, sagas, log, metrics)
	if err != nil {
		return nil, err
	}
	server, err := httpserver.New(cfg.HTTP, httpserver.Options{
		Title: "Waybill Orders with the saga embedded", Version: "1", Log: log, Metrics: metrics,
		Checks: []httpserver.Check{
			{Name: "postgres", Required: true, Run: chassispg.Check(pool)},
			{Name: "kafka", Run: replies.Check},
			{Name: "consumer", Required: true, Run: replies.Ready},
		},
	})
	if err != nil {
		return nil, err
	}
	orders := &orders{stored, pool, sagas}
	placer := batch.New(orders.PlaceAll, batch.Options{Limit: maxBatch, CanSplit: postgres.NothingPlaced})
	httpapi.Register(server.API, httpapi.Service{Store: orders, Place: placer.Do, Hub: hub, Waiting: server.Waiting, Log: log})

	app := service.NewApp(log)
	app.OnStop("postgres pool", pool.Close)
	app.OnStop("ends of topics", ends.Close)
	app.Add("watched orders", hub.Run)
	app.Add("saga runner", sagas.Run)
	app.Add("reply consumer", replies.Run)
	app.Serve(server)
	return app, nil
}

func newRunner(ctx context.Context, cfg Config, pool *pgxpool.Pool, ends *kafka.Ends, own local, log *slog.Logger) (*runner.Runner, error) {
	definitions, err := orderflow.Definitions(cfg.Timing)
	if err != nil {
		return nil, err
	}
	return runner.New(ctx, runner.Config{
		DB: pool, Consumer: group, Definitions: definitions, Codec: orderflow.Codec{}, Content: orderflow.Content,
		Local: map[string]runner.Local{
			string(contracts.TypeConfirmOrder): own.confirm,
			string(contracts.TypeCancelOrder):  own.cancel,
			string(contracts.TypeRefuseCancel): own.refuse,
		},
		Ends: ends.Ask, Log: log,
	})
}
