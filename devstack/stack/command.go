package stack

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"waybill.example/chassis/exitstatus"
	"waybill.example/chassis/lifecycle"
	"waybill.example/chassis/version"
)

// Main is the main function of a command that works on a stack: it runs the verb of commands, a
// kong grammar, that the arguments choose, and exits. SIGINT and SIGTERM end the verb's context; a
// second signal ends the process, and with it everything that it has started.
func Main(name, description string, commands any) {
	ctx, stop := lifecycle.Signals()
	err := Run(ctx, name, description, commands, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(exitstatus.Of(err))
	}
}

// Run runs the verb that the arguments choose. Its Run method may take a [context.Context], and an
// [io.Writer] for its output. With [EnvParseOnly] set, the arguments are only parsed.
func Run(ctx context.Context, name, description string, commands any, args []string, stdout, stderr io.Writer) error {
	var about struct {
		Version kong.VersionFlag `help:"Say what was built, and stop."`
	}
	parser, err := kong.New(&about,
		kong.Embed(commands),
		kong.Name(name),
		kong.Description(description),
		kong.UsageOnError(),
		kong.Writers(stdout, stderr),
		kong.Vars{"dir": DefaultDir, "version": name + " " + version.Get().String()},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(stdout, (*io.Writer)(nil)),
	)
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if err != nil || os.Getenv(EnvParseOnly) != "" {
		return err
	}
	return command.Run()
}
