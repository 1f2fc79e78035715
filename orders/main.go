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

	"github.com/alecthomas/kong"

	"waybill.example/chassis/config"
	"waybill.example/chassis/gc"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/lifecycle"
	"waybill.example/chassis/telemetry"
	"waybill.example/orders/internal/app"
)

type commands struct {
	Run         service     `cmd:"" default:"1" help:"Run the service; settings come from the environment. The default."`
	Healthcheck healthcheck `cmd:"" help:"Ask the running service how it is; for containers."`
}

func main() {
	gc.Ballast()
	ctx, stop := lifecycle.Signals()
	parsed := kong.Parse(&commands{}, kong.Name("orders"), kong.UsageOnError(),
		kong.Description("Take orders over HTTP, and decide their fate on command."), kong.BindTo(ctx, (*context.Context)(nil)))
	err := parsed.Run()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
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
	log := telemetry.Logger(cfg.Telemetry, "orders", os.Stderr)
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
