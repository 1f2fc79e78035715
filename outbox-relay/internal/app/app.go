// Package app wires the relay. The command runs it, and so do the end-to-end tests.
package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/service"
	"waybill.example/chassis/telemetry"
	"waybill.example/outbox-relay/internal/databases"
	"waybill.example/outbox-relay/internal/httpapi"
	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/topics"
)

// New wires the relay: a Source per database, and the HTTP server. It listens, and connects to no
// database and no broker yet.
func New(_ context.Context, c Config, log *slog.Logger) (*service.App, error) {
	pairs, _ := c.Databases.Entries() // open reports the faults
	opened, err := c.Databases.Open()
	if err != nil {
		return nil, err
	}
	allowed, faults := c.topics()
	logins, more := c.logins()
	if err := errors.Join(append(faults, more...)...); err != nil {
		databases.Close(opened)
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
	masks, err := c.Masks.Load()
	if err != nil {
		return nil, err
	}
	registry := telemetry.Metrics()
	for _, db := range opened {
		db.Observe(registry)
	}
	metrics := relay.NewMetrics(registry)
	options := relay.Options{
		Retention:         cmp.Or(c.Retention, relay.KeepForever),
		InboxRetention:    cmp.Or(c.InboxRetention, relay.KeepForever),
		BatchRows:         c.BatchRows,
		InFlightRows:      c.InFlightRows,
		InFlightBytes:     c.InFlightBytes,
		Budget:            relay.NewBudget(c.TotalBytes),
		UnresponsiveAfter: c.UnresponsiveAfter,
		Drain:             c.Drain,
	}
	shared := publish.NewClients(c.Kafka, log)
	var sources sources
	asWhom := map[string]topics.Broker{}
	for _, db := range pairs {
		options.Topics, options.URL = allowed[db.Name], c.Databases.Current(db)
		brokers := c.Kafka
		options.Clients = shared
		if login, ok := logins[db.Name]; ok {
			brokers, options.Clients = login.as(c.Kafka), nil // who shares a client shares its rights
		}
		asWhom[db.Name] = topics.NewBroker(brokers)
		sources = append(sources, relay.NewSource(db.Name, db.URL, telemetry.Name("outbox-relay"), brokers, options, metrics, log)) //nolint:contextcheck // its client outlives this
	}
	server, err := httpserver.New(c.HTTP, httpserver.Options{
		Title: "Outbox relay", Version: "1", Log: log, Metrics: registry, Checks: sources.checks(),
	})
	if err != nil {
		databases.Close(opened)
		return nil, err
	}
	if tokens, _, err = c.Operators(tokens, log, registry); err != nil {
		databases.Close(opened)
		return nil, err
	}
	api := &httpapi.API{
		Databases: opened, Sources: sources.list, Tokens: tokens, Masks: masks, Log: log,
		Broker: func(database string) ops.Broker { return asWhom[database] },
	}
	readers = tokens.And(readers)
	if api.Known = readers; !server.Local() {
		api.Readers = &readers
	}
	api.Register(server.API)

	app := service.NewApp(log)
	app.OnStop("databases", func() { databases.Close(opened) })
	app.Add("sources", sources.run)
	app.Serve(server)
	return app, nil
}
