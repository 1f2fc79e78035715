// Command inventory keeps stock and sets it aside for orders.
//
// It applies the ReserveInventory and ReleaseInventory commands that the order saga sends it, each in
// one transaction with its answer, and lets people see and set stock over HTTP. It is configured by
// the environment (see internal/app.Config) and stops in order on SIGINT or SIGTERM.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"waybill/chassis/config"
	"waybill/chassis/gc"
	"waybill/chassis/lifecycle"
	"waybill/chassis/telemetry"
	"waybill/inventory/internal/app"
)

func main() {
	gc.Ballast()
	ctx, stop := lifecycle.Signals()
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "inventory:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cfg := app.Defaults()
	if err := config.Load(&cfg); err != nil {
		return err
	}
	log := telemetry.Logger(cfg.Telemetry, "inventory", os.Stderr)
	log.Info("starting", config.Masked(cfg)...)
	service, err := app.New(ctx, cfg, log)
	if errors.Is(err, context.Canceled) {
		return nil // told to stop while it waited for the database
	}
	if err != nil {
		return err
	}
	return service.Run(ctx)
}
