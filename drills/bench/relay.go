package main

import (
	"context"
	"errors"
	"io"

	"waybill.example/devstack/stack"
	"waybill.example/drills/bench/internal/relay"
	"waybill.example/drills/report"
)

// relayCommand measures the relay alone, on a Postgres and a broker of its own.
type relayCommand struct {
	Parts     []string `arg:"" optional:"" help:"What to measure: ${relay_parts}. Everything, if nothing is named."`
	Quick     bool     `help:"A short version of everything."`
	Rows      int      `default:"500000" help:"Rows of the backlog."`
	History   int      `default:"10000000" help:"Published rows that are there already, for the part history."`
	Databases []int    `default:"1,10,100" help:"How many databases one relay leads, for the part databases."`
	HTML      string   `name:"html" default:".waybill/bench-relay.html" help:"Where the report goes. Relative to the source tree."`
}

// Run measures and writes the report.
func (c *relayCommand) Run(ctx context.Context, out io.Writer) (err error) {
	workspace, err := stack.Workspace(".")
	if err != nil {
		return err
	}
	o := relay.Options{Parts: c.Parts, Rows: c.Rows, MemRows: 2 * c.Rows, History: c.History, Databases: c.Databases}
	if c.Quick {
		o.Rows, o.MemRows, o.History, o.Databases = 50_000, 100_000, 200_000, []int{1, 5}
	}
	b := &bench{options: options{HTML: c.HTML}, workspace: workspace, out: out, report: report.New(out)}
	o.Say = b.say
	if o.Programs, err = stack.Build(ctx, workspace, io.Discard); err != nil {
		return err
	}
	return errors.Join(relay.Run(ctx, o, b.report), b.write())
}

// produceCommand is how the bench runs the plain producer: as itself, under another name.
type produceCommand struct {
	Broker string `arg:""`
	Rows   int    `arg:""`
}

// Run produces, and writes how many messages per second were acknowledged.
func (c *produceCommand) Run(ctx context.Context, out io.Writer) error {
	return relay.Produce(ctx, c.Broker, c.Rows, out)
}
