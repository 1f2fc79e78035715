// Package app wires the orders service. The command runs it, and so do the end-to-end tests.
package app

import (
	"context"
	"log/slog"

	"waybill.example/chassis/batch"
	"waybill.example/chassis/deadletters"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/jobs"
	"waybill.example/chassis/kafka"
	"waybill.example/chassis/locks"
	"waybill.example/chassis/payloads"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
	"waybill.example/chassis/telemetry"
	"waybill.example/contracts"
	"waybill.example/contracts/schemas"
	"waybill.example/orders/internal/consumer"
	"waybill.example/orders/internal/httpapi"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/internal/shed"
	"waybill.example/orders/internal/watch"
	"waybill.example/sdk/deadletter"
)

// New waits for the database, checks its schema, and wires the service. It does not wait for a
// broker. It returns ctx's error if that ends first.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*service.App, error) {
	return service.Wire(log, func(app *service.App) error { return wire(ctx, app, cfg, log) })
}

func wire(ctx context.Context, app *service.App, cfg Config, log *slog.Logger) error {
	pool, err := chassispg.Open(ctx, cfg.Postgres, "orders", postgres.BeginSession)
	if err != nil {
		return err
	}
	app.OnStop("postgres pool", pool.Close)
	if err := chassispg.AwaitSchema(ctx, pool, log,
		chassispg.Schema{Set: "outbox", Version: deadletter.SchemaVersion},
		chassispg.Schema{Set: "orders", Version: postgres.SchemaVersion},
	); err != nil {
		return err
	}
	operators, readers, err := cfg.tokens()
	if err != nil {
		return err
	}
	metrics := telemetry.Metrics()
	telemetry.Pool(metrics, "orders", pool)
	telemetry.Tables(metrics, pool)
	store := postgres.NewStore(pool)
	if err := store.CheckIDs(ctx, cfg.Shard); err != nil {
		return err
	}
	bodies, err := payloads.New(cfg.Payloads, schemas.FS, log)
	if err != nil {
		return err
	}
	bodies.Mount(app)
	store.Outbox.Payloads = bodies.Codec
	hub := watch.New(store, log)
	backlog := shed.New(cfg.Limits.MaxBacklog, store.Backlog, log)
	handler := consumer.New(pool, store, hub.Changed, log, metrics)
	handler.Parking, handler.Payloads, handler.Keep = cfg.DeadLetters.Behind(nil), bodies.Codec, cfg.owns
	holders := locks.New(pool)
	commands, err := kafka.NewConsumer(cfg.Kafka, kafka.ConsumerOptions{
		Group:     cfg.Shard.Group(contracts.GroupOrders),
		ClientID:  telemetry.Name("orders"),
		Topics:    []string{contracts.TopicOrderCommands},
		Classify:  chassispg.Classify,
		FailFast:  chassispg.FailFast,
		Blockers:  holders.Names,
		Positions: handler.Positions,
	}, handler, log, metrics)
	if err != nil {
		return err
	}
	operators, _, err = cfg.Operators(operators, log, metrics)
	if err != nil {
		return err
	}
	letters := deadletters.New(deadletters.Options{
		DB: pool, Redriver: handler.Redriver(deadletters.Permanent), Jobs: jobs.New(pool, log), Config: cfg.DeadLetters, Masks: bodies.Masks,
		Tokens: operators, Log: log, Metrics: metrics,
	})
	server, err := httpserver.New(cfg.HTTP, httpserver.Options{
		Title: "Waybill Orders", Version: "1", Log: log, Metrics: metrics,
		Checks: []httpserver.Check{
			{Name: "postgres", Required: true, Run: chassispg.Check(pool)},
			{Name: "kafka", Run: commands.Check}, // orders are taken without it
			{Name: "consumer", Required: true, Run: commands.Ready},
			{Name: "dead letters", Required: true, Run: handler.Health.Check},
			{Name: "dead letters that wait", Run: letters.Check},
		},
	})
	if err != nil {
		return err
	}
	httpapi.Register(server.API, httpapi.Service{
		Store: store, Place: NewPlacer(store), Hub: hub, Waiting: server.Waiting, Log: log,
		Rates: cfg.Limits.rates(), Backlog: backlog,
	})
	observeWaiting(metrics, server.Waiting, hub)
	letters.Mount(app, server, operators.And(readers))
	letters.MountJobs(app, server)
	(&locks.API{Watch: holders, Tokens: operators, Readers: letters.Readers}).Register(httpserver.Operations{API: server.API, Log: log})

	app.Add("key sweeper", cfg.Idempotency.Sweeper(log, store.ForgetKeys))
	app.Add("watched orders", hub.Run)
	app.Add("backlog", backlog.Run)
	app.Add("command consumer", commands.Run)
	app.Serve(server)
	return nil
}

// maxBatch bounds the orders of one transaction.
const maxBatch = 500

// NewPlacer returns what places orders: those that are placed while a transaction is in flight
// share the next one.
func NewPlacer(store *postgres.Store) httpapi.Place {
	return batch.New(store.PlaceAll, batch.Options{Limit: maxBatch, CanSplit: postgres.NothingPlaced}).Do
}
