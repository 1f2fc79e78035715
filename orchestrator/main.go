// Orchestrator runs sagas: it listens to what services say, decides what comes
// next, and keeps each saga's state and history in Postgres.
package main

import (
	"context"
	"fmt"
	"os"

	"waybill/chassis/config"
	"waybill/chassis/lifecycle"
	"waybill/chassis/telemetry"
	"waybill/orchestrator/internal/app"
)

func main() {
	ctx, stop := lifecycle.Signals()
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "orchestrator:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cfg := app.DefaultConfig()
	if err := config.Load(&cfg); err != nil {
		return err
	}
	log := telemetry.Logger(cfg.Telemetry, "orchestrator", os.Stderr)
	log.Info("starting", config.Masked(cfg)...)
	service, err := app.New(ctx, cfg, log)
	if err != nil {
		return err
	}
	return service.Run(ctx)
}
