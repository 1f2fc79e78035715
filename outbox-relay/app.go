package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"waybill/chassis/httpserver"
	"waybill/chassis/lifecycle"
	"waybill/chassis/telemetry"
	"waybill/outbox-relay/internal/httpapi"
	"waybill/outbox-relay/internal/relay"
	"waybill/outbox-relay/internal/source"
)

// App is the relay as a process runs it: a source for each database, and the HTTP server.
type App struct {
	log   *slog.Logger
	parts lifecycle.Group
	http  *httpserver.Server
}

// NewApp wires an App. It listens, but reaches for no database and no broker yet.
func NewApp(c Config, log *slog.Logger) (*App, error) {
	pairs, _ := c.Databases.pairs() // open reports the faults
	databases, err := c.Databases.open()
	if err != nil {
		return nil, err
	}
	tokens, err := c.tokens()
	if err != nil {
		return nil, err
	}
	registry := telemetry.Metrics()
	metrics := relay.NewMetrics(registry)
	options := relay.Options{
		Retention:      cmp.Or(c.Retention, relay.KeepForever),
		InboxRetention: cmp.Or(c.InboxRetention, relay.KeepForever),
	}
	app := &App{log: log}
	app.parts.Add("databases", lifecycle.Closer(func() { closeAll(databases) }))
	var checks []httpserver.Check
	for _, db := range pairs {
		s := relay.NewSource(db.name, db.url, telemetry.Name("outbox-relay"), c.Kafka, options, metrics, log)
		app.parts.Add("source "+db.name, s.Run)
		checks = append(checks, readiness(s)...)
	}
	app.http, err = httpserver.New(c.HTTP, httpserver.Options{
		Title: "Outbox relay", Version: "1", Log: log, Metrics: registry, Checks: checks,
	})
	if err != nil {
		closeAll(databases)
		return nil, err
	}
	(&httpapi.API{Databases: databases, Tokens: tokens, Log: log}).Register(app.http.API)
	app.parts.Add("http", app.http.Run)
	return app, nil
}

// readiness says for /readyz whether a source relays, or stands by for another that does.
func readiness(s *relay.Source) []httpserver.Check {
	return []httpserver.Check{
		{Name: "database " + s.Name(), Required: true, Run: func(context.Context) error {
			return databaseTrouble(s.Status())
		}},
		{Name: "broker for " + s.Name(), Required: true, Run: func(context.Context) error {
			status := s.Status()
			if status.BrokerErr == nil {
				return nil
			}
			return fmt.Errorf("no broker answers since %s; rows wait in the database", status.BrokerDownSince.UTC().Format("15:04:05"))
		}},
	}
}

// databaseTrouble is what anybody may read about a source's database: what its operator has to do, but not how the
// database is reached.
func databaseTrouble(status relay.Status) error {
	var truncated *source.SequenceError
	switch {
	case status.State != relay.Connecting:
		return nil
	case errors.Is(status.Err, source.ErrNoSchema), errors.Is(status.Err, source.ErrTransactionPooler), errors.As(status.Err, &truncated):
		return status.Err
	case status.Err != nil:
		return errors.New("the database does not answer, or not as expected; the log says more")
	default:
		return errors.New("connecting")
	}
}

// Addr is where the HTTP server listens.
func (a *App) Addr() string { return a.http.Addr() }

// Run works until ctx ends, then lets rows in flight finish.
func (a *App) Run(ctx context.Context) error { return a.parts.Run(ctx, a.log, patience) }
