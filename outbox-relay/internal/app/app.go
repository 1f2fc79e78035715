// Package app puts the relay together. The command runs it, and so do the end-to-end tests.
package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/lifecycle"
	"waybill.example/chassis/telemetry"
	"waybill.example/outbox-relay/internal/httpapi"
	"waybill.example/outbox-relay/internal/relay"
)

// shutdownTimeout is how long an ordered shutdown may take: more than the relay waits for rows in
// flight.
const shutdownTimeout = 15 * time.Second

// App is the relay as a process runs it: a source for each database, and the HTTP server.
type App struct {
	log   *slog.Logger
	parts lifecycle.Group
	http  *httpserver.Server
}

// New wires an App. It listens, but reaches for no database and no broker yet.
func New(c Config, log *slog.Logger) (*App, error) {
	pairs, _ := c.Databases.pairs() // Open reports the faults
	databases, err := c.Databases.Open()
	if err != nil {
		return nil, err
	}
	allowed, faults := c.topics()
	if err := errors.Join(faults...); err != nil {
		CloseAll(databases)
		return nil, err
	}
	tokens, err := c.tokens()
	if err != nil {
		return nil, err
	}
	readers, err := c.readTokens()
	if err != nil {
		return nil, err
	}
	registry := telemetry.Metrics()
	metrics := relay.NewMetrics(registry)
	options := relay.Options{
		Retention:      cmp.Or(c.Retention, relay.KeepForever),
		InboxRetention: cmp.Or(c.InboxRetention, relay.KeepForever),
		BatchRows:      c.BatchRows,
		InFlightRows:   c.InFlightRows,
		InFlightBytes:  c.InFlightBytes,
		Budget:         relay.NewBudget(c.TotalBytes),
		Frozen:         c.Frozen,
		Drain:          c.Drain,
	}
	app := &App{log: log}
	app.parts.Add("databases", lifecycle.Closer(func() { CloseAll(databases) }))
	var sources sources
	for _, db := range pairs {
		options.Topics = allowed[db.name]
		sources = append(sources, relay.NewSource(db.name, db.url, telemetry.Name("outbox-relay"), c.Kafka, options, metrics, log))
	}
	app.parts.Add("sources", sources.run)
	app.http, err = httpserver.New(c.HTTP, httpserver.Options{
		Title: "Outbox relay", Version: "1", Log: log, Metrics: registry, Checks: sources.checks(),
	})
	if err != nil {
		CloseAll(databases)
		return nil, err
	}
	tokens = tokens.Observed(log, registry)
	api := &httpapi.API{Databases: databases, Sources: sources.list, Tokens: tokens, Log: log}
	if !app.http.Local() {
		readers = tokens.And(readers)
		api.Readers = &readers
	}
	api.Register(app.http.API)
	app.parts.Add("http", app.http.Run)
	return app, nil
}

// Addr is where the HTTP server listens.
func (a *App) Addr() string { return a.http.Addr() }

// Run works until ctx ends, then lets rows in flight finish.
func (a *App) Run(ctx context.Context) error { return a.parts.Run(ctx, a.log, shutdownTimeout) }
