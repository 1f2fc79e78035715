package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"waybill.example/chassis/terminal"
	"waybill.example/devstack/kafka"
	"waybill.example/devstack/stack"
	"waybill.example/drills/drill"
	"waybill.example/drills/report"
)

type listCommand struct{}

func (listCommand) Run(stdout io.Writer) error {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DRILL\tFAULT LASTS\tPROMISE")
	for _, d := range drill.All() {
		fmt.Fprintf(table, "%s\t%s\t%s\n", d.Name, d.For, d.Promise)
	}
	return table.Flush()
}

type runCommand struct {
	stack.BrokerFlag

	Names   []string      `arg:"" optional:"" name:"drill" help:"Which drills; see list."`
	All     bool          `help:"Every drill."`
	Short   bool          `help:"The short set: some drills, and brief ones."`
	For     time.Duration `help:"How long the fault lasts, in place of the drill's own time."`
	Rate    float64       `default:"200" help:"Orders a second."`
	Seed    uint64        `default:"1" help:"Decides about everything random."`
	Dir     string        `default:"${dir}/drill" help:"Where the drill's stack keeps its data. Relative to the source tree."`
	HTML    string        `name:"html" default:"${dir}/drills.html" help:"Where the report goes. Relative to the source tree."`
	Compose bool          `help:"Run them on Redpanda, in the containers of compose.yaml. It needs Docker, and removes the containers' volumes."`
}

var errNotPassed = errors.New("not every promise was kept")

func (c *runCommand) Run(ctx context.Context, stdout io.Writer) error {
	drills, err := c.choose()
	if err != nil {
		return err
	}
	workspace, err := stack.Workspace(".")
	if err != nil {
		return err
	}
	html := within(workspace, c.HTML)
	var (
		outcomes []*drill.Outcome
		failed   []error
	)
	for _, d := range drills {
		if why := d.Unfit(c.KafkaNodes(), c.Compose); why != "" {
			fmt.Fprintf(stdout, "\n%s: left out, %s\n", d.Name, why)
			continue
		}
		outcome, err := c.run(ctx, d, workspace, stdout)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if errors.Is(err, kafka.ErrUnavailable) && c.KafkaNodes() == 0 { // and nobody has asked for it
			fmt.Fprintf(stdout, "\n%s: left out: %v\n", d.Name, err)
			continue
		}
		if err != nil {
			fmt.Fprintf(stdout, "\n%s: could not be run: %v\n", d.Name, err)
			failed = append(failed, fmt.Errorf("%s could not be run: %w", d.Name, err))
			continue
		}
		report.Verdict(stdout, outcome)
		outcomes = append(outcomes, outcome)
		if !outcome.Passed() {
			failed = append(failed, fmt.Errorf("%s: %w", d.Name, errNotPassed))
		}
		if err := writeHTML(html, outcomes); err != nil {
			return err
		}
	}
	if len(drills) > 1 {
		report.Summary(stdout, outcomes)
	}
	if len(outcomes) > 0 {
		fmt.Fprintf(stdout, "\n  report: %s\n", html)
	}
	return errors.Join(failed...)
}

func (c *runCommand) run(ctx context.Context, d drill.Drill, workspace string, stdout io.Writer) (*drill.Outcome, error) {
	fmt.Fprintf(stdout, "\n%s\n", d.Name)
	live := report.NewLive(stdout, terminal.Screen(stdout))
	defer live.Clear()
	length := c.For
	if length == 0 && c.Short {
		length = d.Brief
	}
	return drill.Run(ctx, d, drill.Options{
		Workspace: workspace, Dir: within(workspace, c.Dir), Rate: c.Rate, For: length,
		Seed: c.Seed, KafkaNodes: c.KafkaNodes(), Compose: c.Compose, Show: live.Show,
	})
}

// choose finds the drills that were asked for.
func (c *runCommand) choose() ([]drill.Drill, error) {
	var drills []drill.Drill
	for _, d := range drill.All() {
		if c.All || c.Short && d.Brief > 0 {
			drills = append(drills, d)
		}
	}
	for _, name := range c.Names {
		d, ok := drill.ByName(name)
		if !ok {
			return nil, fmt.Errorf("there is no drill %q: `drills list` shows them", name)
		}
		drills = append(drills, d)
	}
	if len(drills) == 0 {
		return nil, errors.New("say which drills to run, or --all, or --short: `drills list` shows them")
	}
	return drills, nil
}

func writeHTML(path string, outcomes []*drill.Outcome) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := errors.Join(report.HTML(file, outcomes), file.Close()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// within takes a path as relative to the source tree.
func within(workspace, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(workspace, path)
}
