// Orchestrator runs sagas: it listens to what services say, decides what comes
// next, and keeps each saga's state and history in Postgres.
//
//	orchestrator              run the service
//	orchestrator saga list    look at sagas; see --help for the other verbs
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
	"waybill.example/chassis/terminal"
	"waybill.example/orchestrator/internal/app"
	"waybill.example/orchestrator/internal/cli"
)

type commands struct {
	Run  service  `cmd:"" default:"1" help:"Run the service; settings come from the environment. The default."`
	Saga cli.Saga `cmd:"" help:"Look at the sagas of a running orchestrator, and intervene."`

	Healthcheck healthcheck `cmd:"" help:"Ask the running service how it is; for containers."`
}

func main() {
	gc.Ballast()
	ctx, stop := lifecycle.Signals()
	defer stop()
	var c commands
	parsed := kong.Parse(&c, kong.Name("orchestrator"), kong.UsageOnError(),
		kong.Description("Run sagas, and look after them."))
	if err := parsed.Run(&c.Saga, cli.Terminal{Context: ctx, Out: terminal.Writer(os.Stdout)}); err != nil && !stopped(ctx, err) {
		fmt.Fprintln(terminal.Writer(os.Stderr), "orchestrator:", err)
		stop()
		os.Exit(1)
	}
}

// stopped says whether an error only tells that the process was asked to stop
// before it was ready.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}

type healthcheck struct {
	httpserver.Healthcheck `embed:""`
}

// Run asks the service of this container.
func (h healthcheck) Run(t cli.Terminal) error {
	return h.Look(t.Context, app.DefaultConfig().HTTP, t.Out)
}

type service struct{}

// Run runs the service until the process is asked to stop.
func (service) Run(t cli.Terminal) error {
	cfg := app.DefaultConfig()
	if err := config.Load(&cfg); err != nil {
		return err
	}
	log := telemetry.Logger(cfg.Telemetry, "orchestrator", os.Stderr)
	config.Announce(log, cfg)
	sagas, err := app.OrderSagas(cfg.Timing)
	if err != nil {
		return err
	}
	a, err := app.New(t.Context, cfg, sagas, log)
	if err != nil {
		return err
	}
	return a.Run(t.Context)
}
