// Package app puts the orchestrator together: the definitions, the store, the
// consumer, the deadlines and the HTTP API.
package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"waybill/chassis/httpserver"
	"waybill/chassis/kafka"
	"waybill/chassis/lifecycle"
	chassispg "waybill/chassis/postgres"
	"waybill/chassis/telemetry"
	"waybill/contracts"
	"waybill/orchestrator/internal/deadlines"
	"waybill/orchestrator/internal/explain"
	"waybill/orchestrator/internal/httpapi"
	"waybill/orchestrator/internal/ordersaga"
	"waybill/orchestrator/internal/postgres"
	"waybill/orchestrator/saga"
	"waybill/outbox"
	"waybill/outbox/inbox"
)

// stopWithin is how long an ordered shutdown may take.
const stopWithin = 20 * time.Second

// App is an orchestrator that is ready to run.
type App struct {
	pool      *pgxpool.Pool
	server    *httpserver.Server
	consumer  *kafka.Consumer[inbox.Delivery]
	deadlines *deadlines.Poller
	log       *slog.Logger

	closeStreams func()
	sources      []explain.Source
}

// New builds an orchestrator. It waits for a database that is away, until ctx
// ends, and never for the broker.
func New(ctx context.Context, c Config, log *slog.Logger) (_ *App, err error) {
	registry, err := Definitions(c.Timing)
	if err != nil {
		return nil, err
	}
	pool, err := chassispg.Open(ctx, c.Postgres, "orchestrator")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			pool.Close()
		}
	}()
	if err := chassispg.AwaitSchema(ctx, pool, log,
		chassispg.Schema{Set: "outbox", Version: outbox.SchemaVersion},
		chassispg.Schema{Set: "orchestrator", Version: postgres.SchemaVersion},
	); err != nil {
		return nil, err
	}
	reg := telemetry.Metrics()
	m := newMetrics(reg)
	store := &postgres.Store{
		Pool: pool, Registry: registry, Encode: encode, Log: log,
		Observe: m.transition, Unknown: func(saga.Message) { m.unknown.Inc() },
	}
	handler := &backlog{Processor: Processor(store, decode(registry), m), full: max(1, c.BatchSize/2)}
	consumer, err := kafka.NewConsumer(c.Kafka, kafka.ConsumerOptions{
		Group: Group, ClientID: telemetry.Name(Group),
		Topics:    []string{contracts.TopicOrders, contracts.TopicInventory},
		BatchSize: c.BatchSize, Transient: chassispg.Transient,
	}, handler, func(m kafka.Message) inbox.Delivery { return inbox.Delivery(m) }, log, reg)
	if err != nil {
		return nil, err
	}
	server, err := httpserver.New(c.HTTP, httpserver.Options{
		Title: "Waybill orchestrator", Version: "1.0.0", Log: log, Metrics: reg,
		Checks: []httpserver.Check{
			{Name: "postgres", Required: true, Run: chassispg.Check(pool)},
			{Name: "kafka", Run: consumer.Check},
		},
	})
	if err != nil {
		return nil, err
	}
	tokens, err := httpapi.ParseTokens(c.AdminTokens)
	if err != nil {
		return nil, err
	}
	sources, err := explain.ParseSources(ctx, c.ExplainDatabases)
	if err != nil {
		return nil, fmt.Errorf("EXPLAIN_DATABASES: %w", err)
	}
	closing := make(chan struct{})
	api := &httpapi.API{
		Store: store, Registry: registry, Log: log, Tokens: tokens, Closing: closing,
		Explainer: &explain.Explainer{Store: store, Sources: sources, Broker: consumer.Check, RelayURL: c.RelayURL},
	}
	api.Register(server.API)
	return &App{
		closeStreams: func() { close(closing) },
		sources:      sources,
		pool:         pool, server: server, consumer: consumer, log: log,
		deadlines: &deadlines.Poller{
			Act:  func(ctx context.Context, limit int) (int, error) { return store.ApplyDue(ctx, time.Now(), limit) },
			Busy: handler.busy, Every: pollEvery, Batch: min(c.DeadlineRate, 200), Rate: c.DeadlineRate, Log: log,
		},
	}, nil
}

// Addr is where HTTP is served, host:port.
func (a *App) Addr() string { return a.server.Addr() }

// Run works until ctx ends, then stops in order: no new requests, no new
// messages, no new deadlines. It must be called once.
func (a *App) Run(ctx context.Context) error {
	defer a.pool.Close()
	for _, s := range a.sources {
		defer s.Pool.Close()
	}
	var parts lifecycle.Group
	parts.Add("deadlines", a.deadlines.Run)
	parts.Add("consumer", a.consumer.Run)
	parts.Add("http", a.server.Run)
	parts.Add("streams", lifecycle.Closer(a.closeStreams))
	return parts.Run(ctx, a.log, stopWithin)
}

// Definitions registers every saga that this orchestrator runs. A new version
// of one is added beside the old, which stays until its last saga has ended.
func Definitions(t ordersaga.Timing) (*saga.Registry, error) {
	order, err := ordersaga.Definition(t)
	if err != nil {
		return nil, err
	}
	return saga.NewRegistry(order)
}
