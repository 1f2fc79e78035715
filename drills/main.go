// Drills breaks Waybill on purpose and shows that nothing was lost.
//
//	drills list                 what can be broken, and what is promised
//	drills run kafka-down       run drills, each on a fresh stack of its own
//	drills run --all            all of them; --short: the set that CI runs
//	drills audit                compare databases, topics and ledger of the stack that is up
//	drills audit --watch        again and again, with metrics
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"waybill.example/devstack/stack"
)

type commands struct {
	Run   runCommand   `cmd:"" help:"Run drills, each on a fresh stack of its own."`
	List  listCommand  `cmd:"" help:"List the drills and what each promises."`
	Audit auditCommand `cmd:"" help:"Compare databases, topics and ledger of the stack that is up."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends us at once
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "drills:", err)
		os.Exit(1) //nolint:gocritic // the signals need no more handling
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	parser, err := kong.New(new(commands),
		kong.Name("drills"),
		kong.Description("Breaks Waybill on purpose and shows that nothing was lost."),
		kong.UsageOnError(),
		kong.Writers(stdout, stderr),
		kong.Vars{"dir": stack.DefaultDir},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(stdout, (*io.Writer)(nil)),
	)
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if err != nil || os.Getenv(stack.EnvParseOnly) != "" {
		return err
	}
	return command.Run()
}
