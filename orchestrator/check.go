package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"waybill.example/chassis/config"
	"waybill.example/chassis/postgres"
	plain "waybill.example/chassis/terminal"
	"waybill.example/orchestrator/cli"
	"waybill.example/orchestrator/orderflow"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/upgrade"
)

// sagaVerbs are those of the API, and one that goes to the database.
type sagaVerbs struct {
	cli.Saga `embed:""`

	Check check `cmd:"" help:"Say what would become of the open sagas in a database under the definitions of this program. Reads only."`
}

// check is `saga check`.
type check struct {
	DatabaseURL string `help:"The orchestrator's database; a role that may read sagas and saga_definitions suffices." env:"DATABASE_URL" required:"" name:"database-url"`
	States      int    `help:"Explore at most this many distinct states for each class of sagas." default:"5000"`
}

// Run prints what would become of the open sagas, and fails if there is something.
func (c check) Run(ctx context.Context, s *cli.Saga, out io.Writer) error {
	var timing ordersaga.Timing
	if err := config.Load(&timing); err != nil {
		return err
	}
	definitions, err := orderflow.Definitions(timing)
	if err != nil {
		return err
	}
	registry, err := saga.NewRegistry(definitions...)
	if err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, postgres.Config{URL: config.Secret(c.DatabaseURL)}, "saga-check")
	if err != nil {
		return err
	}
	defer pool.Close()
	report, err := upgrade.Check(ctx, pool, registry, upgrade.Options{States: c.States})
	if err != nil {
		return err
	}
	if err := show(out, report, s.JSON); err != nil {
		return err
	}
	if n := len(report.Findings); n > 0 {
		return fmt.Errorf("%d findings: do not deploy this program to this database", n)
	}
	return nil
}

func show(out io.Writer, r upgrade.Report, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(r)
	}
	var text bytes.Buffer
	for _, f := range r.Findings {
		plain.Fprintf(&text, "%-10s %s@%d", f.Kind, f.Definition, f.Version)
		if f.State != "" {
			plain.Fprintf(&text, " %s", f.State)
		}
		plain.Fprintf(&text, ": %s", f.What)
		if f.Path != "" {
			plain.Fprintf(&text, ", after %s", f.Path)
		}
		plain.Fprintf(&text, " (%d sagas", f.Sagas)
		for i, id := range f.Examples {
			plain.Fprintf(&text, "%s%s", map[bool]string{true: ": ", false: ", "}[i == 0], id)
		}
		text.WriteString(")\n")
	}
	plain.Fprintf(&text, "%d open sagas of %d shapes, %d distinct states of their futures, in %s: %d findings.\n",
		r.Sagas, r.Classes, r.States, r.Took, len(r.Findings))
	if r.Unexplored > 0 {
		plain.Fprintf(&text, "The futures of %d sagas of further shapes were not explored.\n", r.Unexplored)
	}
	_, err := text.WriteTo(out)
	return err
}
