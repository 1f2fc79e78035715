// Devstack runs the whole of Waybill on one machine, without Docker: Postgres,
// a Kafka-protocol broker and the services, each a process of its own.
//
//	devstack up              run it in the foreground until Ctrl-C
//	devstack demo            start it, place orders, show what became of them, stop
//	devstack status          show the processes of the stack that is up
//	devstack kill broker     act on one of them: start stop kill freeze thaw
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
	Up     upCommand     `cmd:"" help:"Run the stack in the foreground until Ctrl-C."`
	Demo   demoCommand   `cmd:"" help:"Start a stack, place orders, show what became of them, stop."`
	Status statusCommand `cmd:"" help:"Show the processes of the stack that is up."`

	Start  startCommand  `cmd:"" help:"Start a process of the stack again and wait until it is ready."`
	Stop   stopCommand   `cmd:"" help:"Stop a process of the stack in order."`
	Kill   killCommand   `cmd:"" help:"Kill a process of the stack with SIGKILL."`
	Freeze freezeCommand `cmd:"" help:"Freeze a process of the stack with SIGSTOP."`
	Thaw   thawCommand   `cmd:"" help:"Let a frozen process of the stack go on."`

	Broker brokerCommand `cmd:"" help:"Run the embedded broker alone."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends us at once, and with us all that we have started.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", err)
		os.Exit(1) //nolint:gocritic // the signals need no more handling
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	parser, err := kong.New(new(commands),
		kong.Name("devstack"),
		kong.Description("Runs the whole of Waybill on one machine, without Docker."),
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
