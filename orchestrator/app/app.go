// Package app is the stand-alone orchestrator as a service: it runs sagas with sdk/saga/runner on a
// Kafka consumer, and answers HTTP about them. It knows no saga in particular; main says which.
//
// In the code:
//
//	sagas.go    what an orchestrator is given to run
//	config.go   its settings
//	app.go      the wiring
//	audit.go    what operators change, for the audit log
//	notify.go   who is notified when something needs a person
//	metrics.go  what the runner reports, as Prometheus metrics
package app

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/deadletters"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/jobs"
	"waybill.example/chassis/kafka"
	"waybill.example/chassis/locks"
	"waybill.example/chassis/oidc"
	"waybill.example/chassis/payloads"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
	"waybill.example/chassis/telemetry"
	"waybill.example/orchestrator/console"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/orchestrator/internal/explain/collect"
	"waybill.example/orchestrator/internal/find"
	"waybill.example/orchestrator/internal/notify"
	"waybill.example/orchestrator/internal/sagabatch"
	"waybill.example/orchestrator/internal/series"
	"waybill.example/sdk/cloudevents"
	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

// parts are what an orchestrator is made of.
type parts struct {
	pool     *pgxpool.Pool // of messages and deadlines
	requests *pgxpool.Pool // of the HTTP API
	server   *httpserver.Server
	consumer *kafka.Consumer
	holders  *locks.Watch // of what the consumer waits for
	ends     *kafka.Ends
	runner   *runner.Runner
	letters  *deadletters.Service
	payloads *payloads.Payloads
	log      *slog.Logger

	jobs     *jobs.Jobs
	notifier *notify.Notifier // nil: nobody is notified

	readers      admin.Tokens
	identity     *oidc.Provider // nil: there is none
	closeStreams func()
}

// New builds an orchestrator that runs sagas. It waits for a database that is unavailable, until
// ctx ends, and never for the broker.
func New(ctx context.Context, c Config, sagas Sagas, log *slog.Logger) (_ *service.App, err error) {
	a := &parts{log: log}
	if a.pool, err = chassispg.Open(ctx, c.Postgres, "orchestrator"); err != nil {
		return nil, err
	}
	// However many requests there are, messages and deadlines have connections of their own.
	if a.requests, err = chassispg.Open(ctx, c.Postgres, "orchestrator-api"); err != nil {
		a.pool.Close()
		return nil, err
	}
	defer func() {
		if err != nil {
			a.pool.Close()
			a.requests.Close()
		}
	}()
	if err := chassispg.AwaitSchema(ctx, a.pool, log,
		chassispg.Schema{Set: "outbox", Version: deadletter.SchemaVersion},
		chassispg.Schema{Set: "orchestrator", Version: notify.SchemaVersion},
		chassispg.Schema{Set: "orchestrator", Version: store.SchemaVersion},
	); err != nil {
		return nil, err
	}
	reg := telemetry.Metrics()
	telemetry.Pool(reg, "orchestrator", a.pool)
	telemetry.Tables(reg, a.pool)
	telemetry.Pool(reg, "orchestrator-api", a.requests)
	if err := a.run(ctx, c, sagas, reg); err != nil {
		return nil, err
	}
	if err := a.serve(c, sagas, reg); err != nil {
		return nil, err
	}
	return a.app(), nil
}

// run prepares the runner and its consumer.
func (a *parts) run(ctx context.Context, c Config, sagas Sagas, reg *prometheus.Registry) (err error) {
	group := cmp.Or(sagas.Group, DefaultGroup)
	if a.ends, err = kafka.NewEnds(c.Kafka, telemetry.Name(group), sagas.Topics); err != nil {
		return err
	}
	if a.payloads, err = payloads.New(c.Payloads, sagas.Schemas, a.log); err != nil {
		return err
	}
	observer := newMetrics(reg).observer()
	observer.Messages = telemetry.Inbox(reg, group)
	if a.runner, err = runner.New(ctx, runner.Config{
		DB: a.pool, OperatorDB: a.requests, Consumer: group, Definitions: sagas.Definitions,
		Codec: sagas.Codec, Content: sagas.Content, Keep: func(d inbox.Delivery) bool { return sagas.Shard.Owns(d.Key) }, Payloads: a.payloads.Codec, Ends: a.ends.Ask, Parking: c.DeadLetters.Parking,
		DeadlineRate: c.DeadlineRate, Retention: c.Retention, Audit: audit, Observer: observer, Log: a.log,
	}); err != nil {
		return err
	}
	a.holders = locks.New(a.pool)
	a.consumer, err = kafka.NewConsumer(c.Kafka, kafka.ConsumerOptions{
		Group: sagas.Shard.Group(group), ClientID: telemetry.Name(group), Topics: sagas.Topics, BatchSize: c.BatchSize,
		Classify: chassispg.Classify, FailFast: chassispg.FailFast, Blockers: a.holders.Names,
		Positions: a.runner.Positions(),
	}, a.runner, a.log, reg)
	return err
}

// serve prepares the HTTP side.
func (a *parts) serve(c Config, run Sagas, reg *prometheus.Registry) error {
	tokens, err := c.tokens()
	if err != nil {
		return err
	}
	readers, err := c.readTokens()
	if err != nil {
		return err
	}
	if tokens, a.identity, err = c.Operators(tokens, a.log, reg); err != nil {
		return err
	}
	a.jobs = jobs.New(a.requests, a.log)
	a.letters = deadletters.New(deadletters.Options{
		Jobs: a.jobs, DB: a.requests, Redriver: a.runner.Redriver(deadletters.Permanent), Config: c.DeadLetters, Masks: a.payloads.Masks, Tokens: tokens, Log: a.log, Metrics: reg,
	})
	a.server, err = httpserver.New(c.HTTP, httpserver.Options{
		Title: "Waybill orchestrator", Version: "1", Log: a.log, Metrics: reg,
		Checks: []httpserver.Check{
			{Name: "postgres", Required: true, Run: chassispg.Check(a.pool)},
			{Name: "kafka", Run: a.consumer.Check},
			{Name: "consumer", Required: true, Run: a.consumer.Ready},
			{Name: "dead letters", Required: true, Run: a.runner.Health().Check},
			{Name: "dead letters that wait", Run: a.letters.Check},
		},
	})
	if err != nil {
		return err
	}
	closing := make(chan struct{})
	a.closeStreams = func() { close(closing) }
	sagas := inspect.New(a.requests, a.runner.Registry())
	batches := &sagabatch.Batches{DB: a.requests, Sagas: sagas, Runner: a.runner, Jobs: a.jobs}
	batches.Register()
	read := records(kafka.NewLookup(c.Kafka, telemetry.Name("orchestrator-lookup")))
	codec := run.Codec
	if codec == nil {
		codec = runner.CloudEvents{}
	}
	explainer := &collect.Collector{
		Sagas: sagas, Broker: a.consumer.Check, Records: read, Decode: codec.Decode, Payloads: a.payloads.Codec, Shard: run.Shard,
		Orders: c.ordersClient(), Inventory: c.inventoryClient(), Relay: c.relayClient(),
	}
	api := &httpapi.API{
		Finder: &find.Finder{
			Sagas: sagas, Jobs: a.jobs, Records: read, Letters: deadletter.NewStore(a.requests),
			Orders: c.ordersClient(), Inventory: c.inventoryClient(), Relay: c.relayClient(),
		},
		Sagas: sagas, Runner: a.runner, Log: a.log, Tokens: tokens, Masks: a.payloads.Masks, Known: tokens.And(readers), Closing: closing, Batches: batches,
		Explainer: explainer, Series: &series.Recorder{DB: a.requests},
	}
	a.readers = tokens.And(readers.ReadOnly())
	if !a.server.Local() {
		readers = tokens.And(readers)
		api.Readers = &readers
	}
	api.Register(a.server.API)
	if err := a.notify(c, explainer, tokens, api.Readers, reg); err != nil {
		return err
	}
	operations := httpserver.Operations{API: a.server.API, Log: a.log}
	(&jobs.API{Jobs: a.jobs, Tokens: tokens, Readers: api.Readers, Known: api.Known, Masks: api.Masks}).Register(operations)
	(&locks.API{Watch: a.holders, Tokens: tokens, Readers: api.Readers}).Register(operations)
	return a.console(c)
}

// console serves the console beside the API.
func (a *parts) console(c Config) error {
	stack := ""
	if a.server.Local() {
		stack = c.DevStack
	}
	pages, err := console.New(console.Config{
		API: a.server.Router, Tokens: a.readers, Provider: a.identity, Open: a.server.Local(), Key: string(c.ConsoleKey), Log: a.log, Waiting: a.server.Waiting, Stack: stack, Masks: a.payloads.Masks,
		Orders:    console.Service{URL: c.OrdersURL, ReadToken: string(c.OrdersToken)},
		Inventory: console.Service{URL: c.InventoryURL, ReadToken: string(c.InventoryToken)},
		Relay:     console.Service{URL: c.RelayURL, ReadToken: string(c.RelayToken)},
		Audit:     c.AuditURL,
	})
	if err != nil {
		return err
	}
	a.server.Pages(pages)
	return nil
}

// records has a lookup answer as explain asks.
func records(l *kafka.Lookup) func(context.Context, []explain.Place) (map[explain.Place]explain.Record, error) {
	return func(ctx context.Context, places []explain.Place) (map[explain.Place]explain.Record, error) {
		asked := make([]kafka.Place, len(places))
		for i, p := range places {
			asked[i] = kafka.Place{Partition: inbox.Partition{Topic: p.Topic, Partition: p.Partition}, Offset: p.Offset}
		}
		read, err := l.Read(ctx, asked...)
		found := make(map[explain.Place]explain.Record, len(read))
		for p, r := range read {
			record := explain.Record{At: r.Time, Appended: r.Appended, Key: string(r.Key)}
			for _, h := range r.Headers {
				switch h.Key {
				case cloudevents.HeaderID:
					record.EventID = string(h.Value)
				case cloudevents.HeaderType:
					record.Type = string(h.Value)
				}
			}
			found[explain.Place{Topic: p.Topic, Partition: p.Partition.Partition, Offset: p.Offset}] = record
		}
		return found, err
	}
}

// app stops in order: no new requests, no new messages, no new deadlines.
func (a *parts) app() *service.App {
	app := service.NewApp(a.log)
	app.OnStop("postgres pool", a.pool.Close)
	app.OnStop("postgres pool of the API", a.requests.Close)
	app.OnStop("ends of topics", a.ends.Close)
	a.letters.Mount(app, a.server, a.readers)
	a.payloads.Mount(app)
	app.Add("saga runner", a.runner.Run)
	app.Add("consumer", a.consumer.Run)
	if a.notifier != nil {
		app.Add("notifier", a.notifier.Run)
	}
	app.Add("jobs", a.jobs.Run)
	app.Serve(a.server)
	app.OnStop("streams", a.closeStreams)
	return app
}
