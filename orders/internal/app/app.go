// Package app puts the orders service together. The command runs it, and so do the end-to-end tests.
package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/kafka"
	"waybill.example/chassis/lifecycle"
	"waybill.example/chassis/postgres"
	"waybill.example/chassis/sweep"
	"waybill.example/chassis/telemetry"
	"waybill.example/contracts"
	"waybill.example/orders/internal/consumer"
	"waybill.example/orders/internal/httpapi"
	orderspg "waybill.example/orders/internal/postgres"
	"waybill.example/sdk/outbox"
)

// SchemaVersion is the version of the migration set "orders" that this service needs.
const SchemaVersion = 2

// patience is how long an ordered stop may take.
const patience = 20 * time.Second

// App is the service, ready to run.
type App struct {
	log    *slog.Logger
	group  lifecycle.Group
	server *httpserver.Server
}

// New waits for the database, checks its schema, and wires the service. It does not wait for a
// broker. It returns ctx's error if that ends first.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*App, error) {
	pool, err := postgres.Open(ctx, cfg.Postgres, "orders")
	if err != nil {
		return nil, err
	}
	a := &App{log: log}
	if err := a.wire(ctx, cfg, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return a, nil
}

func (a *App) wire(ctx context.Context, cfg Config, pool *pgxpool.Pool) error {
	err := postgres.AwaitSchema(ctx, pool, a.log,
		postgres.Schema{Set: "outbox", Version: outbox.SchemaVersion},
		postgres.Schema{Set: "orders", Version: SchemaVersion})
	if err != nil {
		return err
	}
	metrics := telemetry.Metrics()
	store := orderspg.NewStore(pool)
	handler := consumer.New(pool, store, a.log, metrics)
	commands, err := kafka.NewConsumer(cfg.Kafka, kafka.ConsumerOptions{
		Group:     contracts.GroupOrders,
		ClientID:  telemetry.Name("orders"),
		Topics:    []string{contracts.TopicOrderCommands},
		Classify:  postgres.Classify,
		Hasty:     postgres.Hasty,
		Blockers:  postgres.NameBlockers(pool),
		Positions: handler.Positions,
	}, handler, a.log, metrics)
	if err != nil {
		return err
	}
	a.server, err = httpserver.New(cfg.HTTP, httpserver.Options{
		Title: "Waybill Orders", Version: "1", Log: a.log, Metrics: metrics,
		Checks: []httpserver.Check{
			{Name: "postgres", Required: true, Run: postgres.Check(pool)},
			{Name: "kafka", Run: commands.Check}, // orders are taken without it
			{Name: "consumer", Required: true, Run: commands.Ready},
			{Name: "dead letters", Required: true, Run: handler.Health.Check},
		},
	})
	if err != nil {
		return err
	}
	httpapi.Register(a.server.API, store, a.log)
	a.group.Add("postgres pool", lifecycle.Closer(pool.Close))
	a.group.Add("key sweeper", sweep.Loop("idempotency keys", a.log, func(ctx context.Context, limit int) (int, error) {
		return store.ForgetKeys(ctx, cfg.IdempotencyRetention, limit)
	}))
	a.group.Add("command consumer", commands.Run)
	a.group.Add("http server", a.server.Run)
	return nil
}

// Addr is where the service answers HTTP, host:port.
func (a *App) Addr() string { return a.server.Addr() }

// Run serves until ctx ends, and then stops in order: requests that are under way finish first, the
// consumer follows, the pool last.
func (a *App) Run(ctx context.Context) error { return a.group.Run(ctx, a.log, patience) }
