package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
	"waybill.example/drills/load"
	"waybill.example/drills/report"
)

type loadCommand struct {
	Dir    string        `default:"${dir}" help:"The state directory of the stack. Relative to the source tree."`
	URL    []string      `name:"url" placeholder:"URL" help:"Place the orders here in place of the stack's Orders service, in turn."`
	Rate   float64       `default:"100" help:"Orders per second."`
	For    time.Duration `default:"10s" help:"For how long."`
	Lines  int           `default:"1" help:"Lines of each order, each of another sku."`
	SKU    []string      `name:"sku" default:"burger,cola" help:"What is ordered, one of each line, in turn."`
	Ledger string        `type:"path" help:"Append a record of each request to this file, for audit --ledger."`
}

var errNotAllAccepted = errors.New("not every order was accepted")

// Run places orders, waits for the answers, and prints what became of the requests.
func (c *loadCommand) Run(ctx context.Context, stdout io.Writer) (err error) {
	mix, err := mixOf(c.SKU, c.Lines)
	if err != nil {
		return err
	}
	urls, err := c.urls()
	if err != nil {
		return err
	}
	cfg := load.Config{
		URLs: urls, Rate: c.Rate, Run: "load-" + strconv.FormatInt(time.Now().UnixMicro(), 36), Mix: mix, InTurn: true, Note: "load",
	}
	if c.Ledger != "" {
		ledger, err := load.CreateLedger(c.Ledger)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, ledger.Close()) }()
		cfg.Ledger = ledger
	}
	generator, err := load.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.For)
	defer cancel()
	totals := generator.Run(ctx)
	report.Load(stdout, totals)
	if totals.Failed > 0 {
		return errNotAllAccepted
	}
	return nil
}

func (c *loadCommand) urls() ([]string, error) {
	if len(c.URL) > 0 {
		return c.URL, nil
	}
	dir := c.Dir
	if workspace, err := stack.Workspace("."); err == nil {
		dir = within(workspace, dir)
	}
	state, err := stack.Read(dir)
	if err != nil {
		return nil, fmt.Errorf("find where to place orders: %w", err)
	}
	orders, ok := state.Process(stack.Orders)
	if !ok || orders.Addr == "" {
		return nil, fmt.Errorf("find where to place orders: the stack in %s has no Orders service", dir)
	}
	return []string{"http://" + orders.Addr}, nil
}

// mixOf is orders of so many lines. They begin with another sku each, so that concurrent orders
// name the same skus in different orders.
func mixOf(skus []string, lines int) (load.Mix, error) {
	different := map[string]bool{}
	for _, sku := range skus {
		different[sku] = true
	}
	skus = slices.Sorted(maps.Keys(different))
	if lines < 1 || lines > len(skus) {
		return nil, fmt.Errorf("an order of %d lines needs as many different skus, and --sku has %d", lines, len(skus))
	}
	var mix load.Mix
	for first := range skus {
		choice := load.Choice{Weight: 1, SKU: skus[first], Quantity: 1}
		if lines > 1 {
			choice = load.Choice{Weight: 1}
			for n := range lines {
				choice.Items = append(choice.Items, contracts.Line{SKU: skus[(first+n)%len(skus)], Quantity: 1})
			}
		}
		mix = append(mix, choice)
	}
	return mix, mix.Validate()
}
