// Package app wires the inventory service. The command runs it, and so do the end-to-end tests.
package app

import (
	"context"
	"log/slog"

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
	"waybill.example/inventory/internal/consumer"
	"waybill.example/inventory/internal/httpapi"
	"waybill.example/inventory/internal/postgres"
	"waybill.example/sdk/deadletter"
)

// New waits for the database, checks its schema, and wires the service. It does not wait for a
// broker. It returns ctx's error if that ends first.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*service.App, error) {
	return service.Wire(log, func(app *service.App) error { return wire(ctx, app, cfg, log) })
}

func wire(ctx context.Context, app *service.App, cfg Config, log *slog.Logger) error {
	pool, err := chassispg.Open(ctx, cfg.Postgres, "inventory")
	if err != nil {
		return err
	}
	app.OnStop("postgres pool", pool.Close)
	if err := chassispg.AwaitSchema(ctx, pool, log,
		chassispg.Schema{Set: "outbox", Version: deadletter.SchemaVersion},
		chassispg.Schema{Set: "inventory", Version: postgres.SchemaVersion},
	); err != nil {
		return err
	}
	metrics := telemetry.Metrics()
	telemetry.Pool(metrics, "inventory", pool)
	telemetry.Tables(metrics, pool)
	store := postgres.NewStore(pool)
	handler := consumer.New(pool, store, log, metrics)
	bodies, err := payloads.New(cfg.Payloads, schemas.FS, log)
	if err != nil {
		return err
	}
	bodies.Mount(app)
	handler.Parking, handler.Payloads, handler.Keep = cfg.DeadLetters.Behind(nil), bodies.Codec, cfg.owns
	holders := locks.New(pool)
	commands, err := kafka.NewConsumer(cfg.Kafka, kafka.ConsumerOptions{
		Group:     cfg.Shard.Group(contracts.GroupInventory),
		ClientID:  telemetry.Name("inventory"),
		Topics:    []string{contracts.TopicInventoryCommands},
		Classify:  chassispg.Classify,
		FailFast:  chassispg.FailFast,
		Blockers:  holders.Names,
		Positions: handler.Positions,
	}, handler, log, metrics)
	if err != nil {
		return err
	}
	tokens, err := cfg.tokens()
	if err != nil {
		return err
	}
	if tokens, _, err = cfg.Operators(tokens, log, metrics); err != nil {
		return err
	}
	readers, err := cfg.readers()
	if err != nil {
		return err
	}
	letters := deadletters.New(deadletters.Options{
		DB: pool, Redriver: handler.Redriver(deadletters.Permanent), Jobs: jobs.New(pool, log), Config: cfg.DeadLetters, Masks: bodies.Masks,
		Tokens: tokens, Log: log, Metrics: metrics,
	})
	checks := []httpserver.Check{
		{Name: "postgres", Required: true, Run: chassispg.Check(pool)},
		{Name: "kafka", Run: commands.Check},
		{Name: "consumer", Required: true, Run: commands.Ready},
		{Name: "dead letters", Required: true, Run: handler.Health.Check},
		{Name: "dead letters that wait", Run: letters.Check},
	}
	server, err := httpserver.New(cfg.HTTP, httpserver.Options{
		Title: "Waybill Inventory", Version: "1", Log: log, Metrics: metrics, Checks: checks,
	})
	if err != nil {
		return err
	}
	httpapi.Register(server.API, store, cfg.stockTokens(tokens), log)
	letters.Mount(app, server, tokens.And(readers))
	letters.MountJobs(app, server)
	(&locks.API{Watch: holders, Tokens: tokens, Readers: letters.Readers}).Register(httpserver.Operations{API: server.API, Log: log})

	app.Add("key sweeper", cfg.Idempotency.Sweeper(log, store.ForgetKeys))
	app.Add("command consumer", commands.Run)
	if err := serveGRPC(app, cfg, cfg.stockTokens(tokens), store, handler, checks, log, metrics); err != nil {
		return err
	}
	app.Serve(server)
	return nil
}
