// Package app puts the orchestrator together: the definitions, the store, the
// consumer, the deadlines and the HTTP API.
package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/kafka"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
	"waybill.example/chassis/telemetry"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/orchestrator/internal/httpapi"
	"waybill.example/orchestrator/internal/poller"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// parts are what an orchestrator is made of.
type parts struct {
	pool     *pgxpool.Pool // of the work
	people   *pgxpool.Pool
	server   *httpserver.Server
	consumer *kafka.Consumer
	health   *inbox.Health
	ends     *kafka.Ends
	loops    []*poller.Loop
	sources  []explain.Source
	log      *slog.Logger

	closeStreams func()
}

// New builds an orchestrator that runs sagas. It waits for a database that is
// away, until ctx ends, and never for the broker.
func New(ctx context.Context, c Config, sagas Sagas, log *slog.Logger) (_ *service.App, err error) {
	pool, err := chassispg.Open(ctx, c.Postgres, "orchestrator")
	if err != nil {
		return nil, err
	}
	// Whatever people ask, and however many of them, the work has connections of its own.
	people, err := chassispg.Open(ctx, c.Postgres, "orchestrator-api")
	if err != nil {
		pool.Close()
		return nil, err
	}
	defer func() {
		if err != nil {
			pool.Close()
			people.Close()
		}
	}()
	if err := chassispg.AwaitSchema(ctx, pool, log,
		chassispg.Schema{Set: "outbox", Version: outbox.SchemaVersion},
		chassispg.Schema{Set: "orchestrator", Version: store.SchemaVersion},
	); err != nil {
		return nil, err
	}
	reg := telemetry.Metrics()
	m := newMetrics(reg)
	st := &store.Store{
		Pool: pool, People: people, Registry: sagas.Registry, Encode: sagas.Encode, SetAside: sagas.SetAside, Consumer: Group, Log: log,
		Observe: m.transition, Rejected: m.rejected, Unknown: func(saga.Message) { m.unknown.Inc() },
	}
	if err := st.CheckDefinitions(ctx); err != nil {
		return nil, err
	}
	processor := newProcessor(st, sagas.Decode, telemetry.Inbox(reg, Group), log)
	consumer, err := kafka.NewConsumer(c.Kafka, kafka.ConsumerOptions{
		Group: Group, ClientID: telemetry.Name(Group),
		Topics: sagas.Topics, BatchSize: c.BatchSize,
		Classify: chassispg.Classify, Hasty: chassispg.Hasty, Blockers: chassispg.NameBlockers(pool),
		Positions: processor.Positions,
	}, processor, log, reg)
	if err != nil {
		return nil, err
	}
	ends, err := kafka.NewEnds(c.Kafka, telemetry.Name(Group), sagas.Topics)
	if err != nil {
		return nil, err
	}
	read := &progress{ends: ends.Ask, positions: st.Positions(Group), now: st.Now, log: log}
	a := &parts{
		pool: pool, people: people, consumer: consumer, health: processor.Health, ends: ends, log: log,
		loops: append(loops(st, m, c, log), deadlines(st, read, m, c, log)),
	}
	if err := a.serve(ctx, c, st, reg); err != nil {
		return nil, err
	}
	return a.app(), nil
}

// serve prepares the HTTP side.
func (a *parts) serve(ctx context.Context, c Config, st *store.Store, reg *prometheus.Registry) error {
	tokens, err := c.tokens()
	if err != nil {
		return err
	}
	readers, err := c.readTokens()
	if err != nil {
		return err
	}
	if a.sources, err = explain.ParseSources(ctx, c.ExplainDatabases); err != nil {
		return fmt.Errorf("EXPLAIN_DATABASES: %w", err)
	}
	urls, err := explain.ParseURLs(c.ServiceURLs)
	if err != nil {
		return fmt.Errorf("EXPLAIN_SERVICES: %w", err)
	}
	a.server, err = httpserver.New(c.HTTP, httpserver.Options{
		Title: "Waybill orchestrator", Version: "1", Log: a.log, Metrics: reg,
		Checks: []httpserver.Check{
			{Name: "postgres", Required: true, Run: chassispg.Check(a.pool)},
			{Name: "kafka", Run: a.consumer.Check},
			{Name: "consumer", Required: true, Run: a.consumer.Ready},
			{Name: "dead letters", Required: true, Run: a.health.Check},
		},
	})
	if err != nil {
		return err
	}
	closing := make(chan struct{})
	a.closeStreams = func() { close(closing) }
	tokens = tokens.Observed(a.log, reg)
	api := &httpapi.API{
		Store: st, Registry: st.Registry, Log: a.log, Tokens: tokens, Closing: closing,
		Explainer: &explain.Explainer{Store: st, Sources: a.sources, Broker: a.consumer.Check, RelayURL: c.RelayURL, ServiceURLs: urls},
	}
	if !a.server.Local() {
		readers = tokens.And(readers)
		api.Readers = &readers
	}
	api.Register(a.server.API)
	return nil
}

// deadlines is the loop that acts on the deadlines whose replies have been read.
func deadlines(st *store.Store, read *progress, m *metrics, c Config, log *slog.Logger) *poller.Loop {
	return &poller.Loop{
		Name: "deadlines", Every: deadlinesEvery, Batch: min(c.DeadlineRate, 200), Rate: c.DeadlineRate, Log: log,
		Act: func(ctx context.Context, limit int) (int, error) {
			due, err := st.AnyDue(ctx)
			if err != nil || !due {
				m.behind.Set(0)
				return 0, err
			}
			until := read.read(ctx)
			m.behind.Set(read.behind(until).Seconds())
			return st.ApplyDue(ctx, time.Time{}, until, limit)
		},
	}
}

// loops is the other work that no message brings about.
func loops(st *store.Store, m *metrics, c Config, log *slog.Logger) []*poller.Loop {
	return []*poller.Loop{{
		Name: "expiry", Every: expireEvery, Batch: 1000, Rate: expireRate, Log: log,
		Act: func(ctx context.Context, limit int) (int, error) {
			return st.Expire(ctx, st.Now().Add(-c.Retention), limit)
		},
	}, {
		Name: "suspended sagas", Every: wakeEvery, Batch: 1, Rate: 1000, Log: log,
		Act: func(ctx context.Context, _ int) (int, error) { return st.WakeSuspended(ctx, time.Time{}) },
	}, {
		Name: "gauges", Every: gaugeEvery, Batch: 1, Rate: 1, Log: log,
		Act: func(ctx context.Context, _ int) (int, error) {
			open, err := st.Open(ctx, st.Now())
			if err == nil {
				m.gauge(open)
			}
			return 0, err
		},
	}}
}

// app stops in order: no new requests, no new messages, no new deadlines.
func (a *parts) app() *service.App {
	app := service.NewApp(a.log)
	app.OnStop("postgres pool", a.pool.Close)
	app.OnStop("postgres pool of the API", a.people.Close)
	app.OnStop("ends of topics", a.ends.Close)
	for _, s := range a.sources {
		app.OnStop("database "+s.Name, s.Pool.Close)
	}
	for _, l := range a.loops {
		app.Add(l.Name, l.Run)
	}
	app.Add("consumer", a.consumer.Run)
	app.Serve(a.server)
	app.OnStop("streams", a.closeStreams)
	return app
}
