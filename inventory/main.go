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

	"github.com/alecthomas/kong"

	"waybill.example/chassis/config"
	"waybill.example/chassis/gc"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/lifecycle"
	"waybill.example/chassis/telemetry"
	"waybill.example/inventory/internal/app"
)

type commands struct {
	Run         service     `cmd:"" default:"1" help:"Run the service; settings come from the environment. The default."`
	Healthcheck healthcheck `cmd:"" help:"Ask the running service how it is; for containers."`
	Seed        seed        `cmd:"" help:"Give skus that have none their first stock, by the API of a running Inventory."`
}

func main() {
	gc.Ballast()
	ctx, stop := lifecycle.Signals()
	parsed := kong.Parse(&commands{}, kong.Name("inventory"), kong.UsageOnError(),
		kong.Description("Keep stock, and set it aside for orders."), kong.BindTo(ctx, (*context.Context)(nil)))
	err := parsed.Run()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "inventory:", err)
		os.Exit(1)
	}
}

type healthcheck struct {
	httpserver.Healthcheck `embed:""`
}

// Run asks the service of this container.
func (h healthcheck) Run(ctx context.Context) error {
	return h.Look(ctx, app.Defaults().HTTP, os.Stdout)
}

type service struct{}

// Run runs the service until the process is asked to stop.
func (service) Run(ctx context.Context) error {
	cfg := app.Defaults()
	if err := config.Load(&cfg); err != nil {
		return err
	}
	log := telemetry.Logger(cfg.Telemetry, "inventory", os.Stderr)
	config.Announce(log, cfg)
	running, err := app.New(ctx, cfg, log)
	if errors.Is(err, context.Canceled) {
		return nil // told to stop while it waited for the database
	}
	if err != nil {
		return err
	}
	return running.Run(ctx)
}
