// Command orchestrator runs sagas: it reads what services report, decides what comes next, and
// keeps each saga's state and history in Postgres.
//
//	orchestrator              run the service
//	orchestrator saga list    look at sagas; see --help for the other verbs
//	orchestrator saga check   before a deploy: what would become of the open sagas in a database
package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/alecthomas/kong"

	"waybill.example/chassis/service"
	"waybill.example/contracts"
	"waybill.example/contracts/schemas"
	"waybill.example/orchestrator/app"
	"waybill.example/orchestrator/cli"
	"waybill.example/orchestrator/orderflow"
	"waybill.example/orchestrator/ordersaga"
)

type verbs struct {
	Saga sagaVerbs `cmd:"" help:"Look at the sagas of a running orchestrator, and intervene."`
}

// settings are those of an orchestrator of order sagas.
type settings struct {
	app.Config

	Timing ordersaga.Timing
	// Shard is which orders have their sagas here, by their ids; not set: all.
	Shard contracts.Shard `env:"ORDER_SHARD"`
}

// Validate returns every problem of the settings at once.
func (s settings) Validate() []error {
	problems := append(s.Config.Validate(), s.Timing.Validate()...)
	if s.Retention <= s.Timing.CancelWindow {
		problems = append(problems, errors.New("SAGA_RETENTION must be longer than CANCEL_WINDOW: a forgotten saga cannot be cancelled"))
	}
	return problems
}

func main() {
	var grammar verbs
	service.Main("orchestrator", "Run sagas, and look after them.", settings{Config: app.DefaultConfig()}, build,
		kong.Embed(&grammar), kong.Bind(&grammar.Saga.Saga), kong.BindToProvider(terminal))
}

// build wires an orchestrator of order sagas.
func build(ctx context.Context, s settings, log *slog.Logger) (*service.App, error) {
	definitions, err := orderflow.Definitions(s.Timing)
	if err != nil {
		return nil, err
	}
	return app.New(ctx, s.Config, app.Sagas{
		Definitions: definitions, Topics: orderflow.Topics(), Codec: orderflow.Codec{}, Content: orderflow.Content, Schemas: schemas.FS,
		Shard: s.Shard,
	}, log)
}

func terminal(ctx context.Context, out io.Writer) cli.Terminal {
	return cli.Terminal{Context: ctx, Out: out}
}
