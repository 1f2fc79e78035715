// Command orchestrator runs sagas: it reads what services report, decides what comes next, and keeps
// each saga's state and history in Postgres.
//
//	orchestrator              run the service
//	orchestrator saga list    look at sagas; see --help for the other verbs
package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/alecthomas/kong"

	"waybill.example/chassis/service"
	"waybill.example/orchestrator/internal/app"
	"waybill.example/orchestrator/internal/cli"
)

type verbs struct {
	Saga cli.Saga `cmd:"" help:"Look at the sagas of a running orchestrator, and intervene."`
}

func main() {
	service.Main("orchestrator", "Run sagas, and look after them.", app.DefaultConfig(), build,
		kong.Embed(&verbs{}), kong.BindToProvider(terminal))
}

// build wires an orchestrator of order sagas.
func build(ctx context.Context, c app.Config, log *slog.Logger) (*service.App, error) {
	sagas, err := app.OrderSagas(c.Timing)
	if err != nil {
		return nil, err
	}
	return app.New(ctx, c, sagas, log)
}

func terminal(ctx context.Context, out io.Writer) cli.Terminal {
	return cli.Terminal{Context: ctx, Out: out}
}
