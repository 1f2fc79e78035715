// Command outbox-relay publishes the rows of outbox tables to Kafka: in order per key, at least once, from any number
// of Postgres databases.
//
//	outbox-relay              relay; settings come from the environment
//	outbox-relay status       look at the databases; see --help for the other verbs
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"waybill.example/chassis/config"
	"waybill.example/chassis/gc"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/lifecycle"
	"waybill.example/chassis/telemetry"
	"waybill.example/chassis/terminal"
	"waybill.example/outbox-relay/internal/app"
	"waybill.example/outbox-relay/internal/cli"
)

type commands struct {
	Run runCommand `cmd:"" default:"1" help:"Relay the databases. The default."`
	cli.Commands

	Healthcheck healthcheck `cmd:"" help:"Ask the running relay how it is; for containers."`
}

func main() {
	gc.Ballast()
	ctx, stop := lifecycle.Signals()
	defer stop()
	var c commands
	parsed := kong.Parse(&c, kong.Name("outbox-relay"), kong.UsageOnError(),
		kong.Description("Publish the rows of outbox tables to Kafka, and look after them. RELAY_DATABASES says which: name=URL, separated by commas, semicolons or white space."))
	session := &cli.Session{Context: ctx, Out: terminal.Writer(os.Stdout)}
	err := run(ctx, parsed, session)
	if err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
		fmt.Fprintln(terminal.Writer(os.Stderr), "outbox-relay:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// run runs the verb that was chosen. All but run and healthcheck work on the databases and need no other settings.
func run(ctx context.Context, parsed *kong.Context, session *cli.Session) error {
	if verb, _, _ := strings.Cut(parsed.Command(), " "); verb != "run" && verb != "healthcheck" {
		var c app.Databases
		if err := config.Load(&c); err != nil {
			return err
		}
		databases, err := c.Open() //nolint:contextcheck // it connects when a verb does
		if err != nil {
			return err
		}
		defer app.CloseAll(databases)
		session.Databases = databases
	}
	return parsed.Run(session)
}

type healthcheck struct {
	httpserver.Healthcheck `embed:""`
}

// Run asks the relay of this container.
func (h healthcheck) Run(session *cli.Session) error {
	return h.Look(session.Context, app.DefaultConfig().HTTP, session.Out)
}

type runCommand struct{}

// Run relays until the process is asked to stop.
func (runCommand) Run(session *cli.Session) error {
	c := app.DefaultConfig()
	if err := config.Load(&c); err != nil {
		return err
	}
	log := telemetry.Logger(c.Telemetry, "outbox-relay", os.Stderr)
	config.Announce(log, c)
	running, err := app.New(c, log)
	if err != nil {
		return err
	}
	return running.Run(session.Context)
}
