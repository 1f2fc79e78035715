package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"waybill/chassis/httpserver"
	"waybill/chassis/kafka"
	"waybill/chassis/lifecycle"
	"waybill/chassis/telemetry"
	"waybill/outbox-relay/internal/relay"
	"waybill/outbox-relay/internal/source"
)

// Config is the relay's settings.
type Config struct {
	// Databases are the databases to relay, name=URL. The name is part of each message's ce_source.
	Databases []string `env:"RELAY_DATABASES" secret:"true"`
	Kafka     kafka.Config
	HTTP      httpserver.Config
	Telemetry telemetry.Config
}

// Database is one of Config.Databases.
type Database struct{ Name, URL string }

// Validate returns every fault of the settings.
func (c Config) Validate() []error {
	_, faults := c.databases()
	return faults
}

func (c Config) databases() (all []Database, faults []error) {
	if len(c.Databases) == 0 {
		return nil, []error{errors.New("RELAY_DATABASES must list name=URL, separated by commas")}
	}
	seen := map[string]bool{}
	for i, pair := range c.Databases {
		name, url, ok := strings.Cut(strings.TrimSpace(pair), "=")
		switch {
		case !ok || name == "" || url == "" || strings.ContainsAny(name, "/:@ "):
			faults = append(faults, fmt.Errorf("RELAY_DATABASES: entry %d is not name=URL", i+1)) // it may hold a password
		case seen[name]:
			faults = append(faults, fmt.Errorf("RELAY_DATABASES names %s twice", name))
		}
		seen[name] = true
		all = append(all, Database{name, url})
	}
	return all, faults
}

// App is the relay as a process runs it: a source for each database, and the HTTP server.
type App struct {
	log   *slog.Logger
	parts lifecycle.Group
	http  *httpserver.Server
}

// NewApp wires an App. It listens, but reaches for no database and no broker yet.
func NewApp(c Config, log *slog.Logger) (*App, error) {
	databases, faults := c.databases()
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	registry := telemetry.Metrics()
	metrics := relay.NewMetrics(registry)
	app := &App{log: log}
	var checks []httpserver.Check
	for _, db := range databases {
		s := relay.NewSource(db.Name, db.URL, telemetry.Name("outbox-relay"), c.Kafka, relay.Options{}, metrics, log)
		app.parts.Add("source "+db.Name, s.Run)
		checks = append(checks, check(s)...)
	}
	var err error
	app.http, err = httpserver.New(c.HTTP, httpserver.Options{
		Title: "Outbox relay", Version: "1", Log: log, Metrics: registry, Checks: checks,
	})
	if err != nil {
		return nil, err
	}
	app.parts.Add("http", app.http.Run)
	return app, nil
}

// check says for /readyz whether a source relays, or stands by for another that does.
func check(s *relay.Source) []httpserver.Check {
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
	case errors.Is(status.Err, source.ErrNoSchema), errors.As(status.Err, &truncated):
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
