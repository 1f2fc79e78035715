package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"waybill.example/chassis/terminal"
	"waybill.example/devstack/demo"
	"waybill.example/devstack/stack"
)

type demoCommand struct{ stack.BrokerFlag }

// Run has a stack of its own on free ports, so it can run beside another.
func (c *demoCommand) Run(ctx context.Context, stdout io.Writer) (err error) {
	workspace, err := stack.Workspace(".")
	if err != nil {
		return err
	}
	dir, remove, err := stack.TempDir("demo")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w\nthe logs are kept in %s until the next demo", err, dir)
			return
		}
		err = errors.Join(err, remove())
	}()
	console := stack.NewConsole(stdout, terminal.Coloured(stdout))
	s, err := stack.Up(ctx, stack.Config{
		Workspace:      workspace,
		Dir:            dir,
		EphemeralPorts: true,
		KafkaNodes:     c.KafkaNodes(),
		Console:        console,
	})
	if err != nil {
		return err
	}
	defer func() {
		console.Say("stopping")
		err = errors.Join(err, s.Down(context.WithoutCancel(ctx)))
	}()
	state := s.State()
	orders, _ := state.Process(stack.Orders)
	orchestrator, _ := state.Process(stack.Orchestrator)
	inventory, _ := state.Process(stack.Inventory)
	err = demo.Run(ctx, demo.Addrs{Orders: orders.Addr, Inventory: inventory.Addr, InventoryGRPC: inventory.GRPC, Orchestrator: orchestrator.Addr}, stdout)
	fmt.Fprintln(stdout)
	return stack.Interrupted(ctx, err)
}
