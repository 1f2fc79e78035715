// Command outbox-relay publishes the rows of outbox tables to Kafka: in order per key, at least once, from any number
// of Postgres databases.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"waybill/chassis/config"
	"waybill/chassis/lifecycle"
	"waybill/chassis/telemetry"
)

// How long the parts of the process have to stop: more than the relay waits for rows in flight.
const patience = 15 * time.Second

func main() {
	ctx, stop := lifecycle.Signals()
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "outbox-relay:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var c Config
	c.HTTP.Addr = "127.0.0.1:8083"
	if err := config.Load(&c); err != nil {
		return err
	}
	log := telemetry.Logger(c.Telemetry, "outbox-relay", os.Stderr)
	log.Info("starting", config.Masked(c)...)
	app, err := NewApp(c, log)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}
