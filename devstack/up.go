package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"waybill.example/chassis/shell"
	"waybill.example/chassis/terminal"
	"waybill.example/devstack/stack"
)

type upCommand struct {
	stack.BrokerFlag

	Dir            string `default:"${dir}" help:"Where the stack keeps its state, data and logs. Relative to the source tree."`
	EphemeralPorts bool   `help:"Take free ports, so that several stacks can run side by side."`
	Standby        string `enum:"none,async,sync" default:"none" env:"STANDBY" help:"Add a Postgres that follows the other by streaming replication, asynchronously or synchronously, to be promoted."`
	Fresh          bool   `help:"Remove the data of the last run first."`
	Shards         int    `help:"Divide Orders, Inventory and the orchestrator into so many shards by order id, each with a Postgres of its own. Those behind the first take free ports."`
	Quiet          bool   `short:"q" help:"Show the steps only, not what the processes log."`
}

func (c *upCommand) Run(ctx context.Context, stdout io.Writer) error {
	workspace, err := stack.Workspace(".")
	if err != nil {
		return err
	}
	if !filepath.IsAbs(c.Dir) {
		c.Dir = filepath.Join(workspace, c.Dir)
	}
	console := stack.NewConsole(stdout, terminal.Coloured(stdout))
	s, err := stack.Up(ctx, stack.Config{
		Workspace:      workspace,
		Dir:            c.Dir,
		EphemeralPorts: c.EphemeralPorts,
		Fresh:          c.Fresh,
		KafkaNodes:     c.KafkaNodes(),
		Standby:        replications[c.Standby],
		Shards:         c.Shards,
		Console:        console,
		ShowLogs:       !c.Quiet,
	})
	if err != nil {
		return err
	}
	console.Say("everything is ready; Ctrl-C stops it")
	for _, p := range s.State().Processes {
		console.Say("  %-16s %s", p.Name, p.Addr)
	}
	orders, _ := s.State().Process(stack.Orders)
	console.Say("place an order, and see what became of it:")
	console.Say(`  curl -s -X POST %s/v1/orders -H "Content-Type: application/json" -d '{"userId":"u1","sku":"burger","quantity":2}'`, orders.Addr)
	console.Say("  curl -s %s/v1/orders/1", orders.Addr)
	env, err := stack.WriteEnv(c.Dir, workspace, s.State())
	if err != nil {
		return errors.Join(err, s.Down(context.WithoutCancel(ctx)))
	}
	console.Say("what it needs to be operated (databases, tokens, PATH) is in a file; in another terminal:")
	console.Say("  . %s", quoted(env))
	console.Say("  waybill explain 1")
	if p, ok := s.State().Process(stack.Orchestrator); ok {
		console.Say("the console, to look and to repair: http://%s/ (sign in with the ORCHESTRATOR_TOKEN of that file)", p.Addr)
	}
	<-ctx.Done()
	console.Say("stopping")
	if err := s.Down(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	console.Say("all processes have ended")
	return nil
}

// quoted is a path as a shell takes it.
func quoted(path string) string {
	word, err := shell.Quote(path)
	if err != nil {
		return path
	}
	return word
}

// replications are the choices of --standby.
var replications = map[string]stack.Replication{"async": stack.Asynchronous, "sync": stack.Synchronous}

// running names the directory of a stack that is up.
type running struct {
	Dir string `default:"${dir}" help:"The state directory of the stack. Relative to the source tree."`
}

func (r running) dial() (*stack.Client, error) {
	if !filepath.IsAbs(r.Dir) {
		workspace, err := stack.Workspace(".")
		if err != nil {
			return nil, err
		}
		r.Dir = filepath.Join(workspace, r.Dir)
	}
	return stack.Dial(r.Dir)
}

type statusCommand struct {
	running

	JSON bool `name:"json" help:"As JSON."`
}

func (c *statusCommand) Run(ctx context.Context, stdout io.Writer) error {
	client, err := c.dial()
	if err != nil {
		return err
	}
	defer client.Close()
	all, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSTATE\tPID\tADDRESS\tLOG")
	for _, p := range all {
		pid := "-"
		if p.Pid != 0 {
			pid = fmt.Sprint(p.Pid)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.State, pid, p.Addr, p.Log)
	}
	return table.Flush()
}

// target is one process of a stack that is up.
type target struct {
	running

	Name string `arg:"" help:"Which process: postgres, postgres-standby, broker (with BROKER=kafka3: all three, or broker-1 to broker-3), orders, inventory, orchestrator or outbox-relay."`
}

func (t target) act(ctx context.Context, action stack.Action) error {
	client, err := t.dial()
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Act(ctx, action, t.Name)
}

type (
	stopCommand    struct{ target }
	killCommand    struct{ target }
	freezeCommand  struct{ target }
	thawCommand    struct{ target }
	promoteCommand struct {
		running

		Name string `arg:"" default:"postgres-standby" help:"Which standby."`
	}
	startCommand struct {
		target

		NoWait bool `help:"Do not wait until it is ready."`
	}
)

func (c *startCommand) Run(ctx context.Context) error {
	if c.NoWait {
		return c.act(ctx, stack.Launch)
	}
	return c.act(ctx, stack.Start)
}

func (c *stopCommand) Run(ctx context.Context) error   { return c.act(ctx, stack.Stop) }
func (c *killCommand) Run(ctx context.Context) error   { return c.act(ctx, stack.Kill) }
func (c *freezeCommand) Run(ctx context.Context) error { return c.act(ctx, stack.Freeze) }
func (c *promoteCommand) Run(ctx context.Context) error {
	return target(*c).act(ctx, stack.Promote)
}

func (c *thawCommand) Run(ctx context.Context) error { return c.act(ctx, stack.Thaw) }
