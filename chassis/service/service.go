// Package service is the main function of every service: it reads the command line and the
// settings, builds the App, runs it until a signal arrives, and stops it in order.
//
// A service's main is one call of [Main], with the name, the default settings and the function that
// wires the App. Without a verb the process runs the service; healthcheck asks the running one, for
// containers; --version says what was built. A service with verbs of its own adds them as kong
// options.
//
// # Signals
//
// SIGINT and SIGTERM end the context: the App stops its parts in reverse order, within
// [ShutdownTimeout]. A second signal kills the process.
//
// # Exit status
//
//	0  it stopped because it was asked to
//	1  it failed; the last line on stderr says why
//	2  the command line or the settings are invalid: a restart does not help
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"

	"waybill.example/chassis/config"
	"waybill.example/chassis/exitstatus"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/lifecycle"
	"waybill.example/chassis/telemetry"
	"waybill.example/chassis/terminal"
	"waybill.example/chassis/tracing"
	"waybill.example/chassis/version"
)

// Main is all of a service's main: it runs the verb that was chosen and exits. build wires the
// service from its settings; it may wait for a database until its context ends. The options can add
// verbs ([kong.Embed]), whose Run methods may take the process's [context.Context], an [io.Writer]
// for their output, a [Cleanup], and what other options bind.
func Main[C Settings](name, description string, defaults C, build func(context.Context, C, *slog.Logger) (*App, error), options ...kong.Option) {
	os.Exit(run(name, description, defaults, build, options...))
}

// Cleanup registers a function to call after a verb has run, whether it failed or not.
type Cleanup func(release func())

// verbs are those of every service.
type verbs struct {
	Run         serve            `cmd:"" default:"1" help:"Run the service; settings come from the environment. The default."`
	Healthcheck healthcheck      `cmd:"" help:"Ask the running service how it is; for containers."`
	Version     kong.VersionFlag `help:"Say what was built, and stop."`
}

type serve struct{ run func(context.Context) error }

// Run runs the service until the process is asked to stop.
func (s serve) Run(ctx context.Context) error { return s.run(ctx) }

type healthcheck struct {
	httpserver.Healthcheck `embed:""`

	defaults httpserver.Config
}

// Run asks the service of this container.
func (h healthcheck) Run(ctx context.Context, out io.Writer) error {
	return h.Look(ctx, h.defaults, out)
}

func run[C Settings](name, description string, defaults C, build func(context.Context, C, *slog.Logger) (*App, error), options ...kong.Option) int {
	grammar := verbs{
		Run:         serve{func(ctx context.Context) error { return runService(ctx, name, defaults, build) }},
		Healthcheck: healthcheck{defaults: defaults.Common().HTTP},
	}
	return runVerb(name, description, &grammar, options...)
}

// runVerb runs the verb of the grammar that the command line names, and returns the exit status.
func runVerb(name, description string, grammar any, options ...kong.Option) int {
	ctx, stop := lifecycle.Signals()
	defer stop()
	var releases []func()
	defer func() {
		for _, release := range releases {
			release()
		}
	}()
	parser := kong.Must(grammar, append(options,
		kong.Name(name), kong.Description(description), kong.UsageOnError(), kong.Exit(exit),
		kong.Vars{"version": name + " " + version.Get().String()},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(terminal.Writer(os.Stdout), (*io.Writer)(nil)),
		kong.Bind(Cleanup(func(release func()) { releases = append(releases, release) })))...)
	parsed, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	return report(ctx, name, parsed.Run())
}

// exit ends the process after --help, --version or a command line that is wrong.
func exit(status int) {
	if status != 0 {
		status = exitstatus.Usage
	}
	os.Exit(status)
}

// report says on stderr why a verb failed, and returns the exit status.
func report(ctx context.Context, name string, err error) int {
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return 0 // asked to stop, perhaps while it still waited for the database
	}
	_, _ = fmt.Fprintln(terminal.Writer(os.Stderr), name+":", err) // nothing is left to do where it fails
	if errors.Is(err, config.ErrInvalid) {
		return exitstatus.Usage
	}
	return exitstatus.Failed
}

func runService[C Settings](ctx context.Context, name string, settings C, build func(context.Context, C, *slog.Logger) (*App, error)) error {
	if err := config.Load(&settings); err != nil {
		return err
	}
	common := settings.Common()
	if common.GCBallast {
		keepBallast()
	}
	log := telemetry.Logger(common.Telemetry, name, os.Stderr)
	config.Announce(log.With("version", version.Get().Version, "commit", version.Get().Commit, "go", version.Get().Go), settings)
	stopTracing, err := tracing.Start(ctx, name, version.Get().Version, log)
	if err != nil {
		return err
	}
	defer stopTracing()
	app, err := build(ctx, settings, log)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}
