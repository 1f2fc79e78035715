// Command orders takes orders over HTTP and decides their fate on command.
//
// It accepts an order together with an OrderCreated event in one transaction, shows orders, and
// applies the ConfirmOrder and CancelOrder commands that the order saga sends it. It is configured by
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
	"waybill/orders/internal/app"
)

func main() {
	gc.Ballast()
	ctx, stop := lifecycle.Signals()
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cfg := app.Defaults()
	if err := config.Load(&cfg); err != nil {
		return err
	}
	log := telemetry.Logger(cfg.Telemetry, "orders", os.Stderr)
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
