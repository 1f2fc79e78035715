package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"waybill.example/devstack/broker"
	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
	"waybill.example/devstack/stack"
	"waybill.example/drills/bench/internal/baseline"
	"waybill.example/drills/bench/internal/environment"
	"waybill.example/drills/load"
	"waybill.example/drills/report"
)

const (
	baselineOrders    = "baseline-orders"
	baselineInventory = "baseline-inventory"
)

// baseline measures the flow by hand on the same Postgres and the same broker, while Waybill's own
// processes are stopped.
func (b *bench) baseline(ctx context.Context) (err error) {
	services := []string{stack.Orders, stack.Inventory, stack.Orchestrator, stack.Relay}
	if err := b.act(ctx, stack.Stop, services...); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.act(ctx, stack.Start, services...)) }()

	sys, stop, err := b.startBaseline(ctx)
	if err != nil {
		return err
	}
	defer stop()
	rate, err := climb(ctx, sys, max(2*time.Second, b.Search/6))
	if err != nil {
		return err
	}
	t, err := b.sustained(ctx, sys, rate, b.Sustain/3)
	if err != nil {
		return err
	}
	section := b.report.Part("Baseline", "The same flow as most teams write it first: insert, then publish by hand; consumers that take one message at a time. The same libraries, Postgres and broker.")
	rateByHand := t.accepted() / t.took.Seconds()
	section.Add("baseline_throughput", rateByHand, "orders/s", nil)
	if b.sagaRate > 0 {
		section.Add("baseline_factor", b.sagaRate/rateByHand, "times the baseline", report.Least(10))
	}
	addCPU(section, "baseline", t)
	followed, err := b.followedTrial(ctx, sys, 50)
	if err != nil {
		return err
	}
	addQuantiles(section, "baseline_post", "50", followed.load.Post(), nil, nil)
	addQuantiles(section, "baseline_confirm", "50", followed.load.Confirm(), nil, nil)
	section.Plot(rates("Orders accepted and ended, by hand", t))
	section.Plot(cores(t))
	return nil
}

// climb finds the highest rate that holds by trying ever higher ones from the ground up. A system
// that takes one message at a time does less under pressure, not more, and would not recover in a
// search.
func climb(ctx context.Context, sys *environment.System, step time.Duration) (rate float64, err error) {
	for rate = 40; ; rate *= 1.3 {
		t, err := try(ctx, sys, load.Config{Rate: rate}, step, nil)
		if err != nil {
			return 0, err
		}
		if !t.steady() {
			return rate / 1.3, nil
		}
	}
}

// act does something to several processes of the stack, one after the other.
func (b *bench) act(ctx context.Context, action stack.Action, names ...string) error {
	for _, name := range names {
		if err := b.stack.Act(context.WithoutCancel(ctx), action, name); err != nil {
			return err
		}
	}
	return nil
}

// startBaseline starts the baseline.
func (b *bench) startBaseline(ctx context.Context) (_ *environment.System, stop func(), err error) {
	var undo []func()
	stop = func() {
		for i := range undo {
			undo[len(undo)-1-i]()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	brokers := addr(b.stack.State(), stack.Broker)
	if err := broker.CreateTopics(ctx, brokers, broker.Partitions, baseline.TopicOrders, baseline.TopicInventory); err != nil {
		return nil, nil, err
	}
	databases := map[string]string{}
	for name, schema := range map[string]string{baselineOrders: baseline.OrdersSchema, baselineInventory: baseline.InventorySchema} {
		pool, drop, err := b.scratch(ctx, name, 1)
		if err != nil {
			return nil, nil, err
		}
		undo = append(undo, drop)
		if _, err := pool.Exec(ctx, schema); err != nil {
			return nil, nil, fmt.Errorf("make the tables of %s: %w", name, err)
		}
		if name == baselineInventory {
			if _, err := pool.Exec(ctx, `insert into stock select unnest($1::text[]), 100000000`, skus); err != nil {
				return nil, nil, fmt.Errorf("seed stock: %w", err)
			}
		}
		databases[name] = pool.Config().ConnString()
	}
	port, err := loopback.FreePort()
	if err != nil {
		return nil, nil, err
	}
	var running []environment.Process
	for name, role := range map[string]string{baselineOrders: "orders", baselineInventory: "inventory"} {
		p, err := b.startBaselineProcess(ctx, name, role, databases[name], brokers, loopback.Addr(port))
		if err != nil {
			return nil, nil, err
		}
		undo = append(undo, func() { stopProcess(ctx, p) })
		running = append(running, environment.Process{Name: name, Pid: p.Pid()})
	}
	if err := environment.AwaitReady(ctx, loopback.Addr(port)); err != nil {
		return nil, nil, err
	}
	sys, err := environment.Connect(ctx, environment.Config{
		Processes: func() []environment.Process {
			all := running
			for _, p := range b.processes() {
				if p.Pid != 0 {
					all = append(all, p)
				}
			}
			return all
		},
		Addrs: []string{loopback.Addr(port)}, Orders: databases[baselineOrders],
	})
	if err != nil {
		return nil, nil, err
	}
	undo = append(undo, sys.Close)
	// Both consumers are there once an order has gone all the way.
	_, err = try(ctx, sys, load.Config{Rate: 20}, time.Second, nil)
	return sys, stop, err
}

func (b *bench) startBaselineProcess(ctx context.Context, name, role, database, brokers, addr string) (*process.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the bench's own program: %w", err)
	}
	log, err := os.Create(filepath.Join(within(b.workspace, b.Dir), "logs", name+".log"))
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	p, err := process.Start(process.Command{
		Name: name, Path: self, Args: []string{"baseline-process", role}, Output: log,
		Env: append(os.Environ(), "DATABASE_URL="+database, "KAFKA_BROKERS="+brokers, "HTTP_ADDR="+addr),
	})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return p, ctx.Err()
}

// stopProcess asks a process to end, also after an interruption.
func stopProcess(ctx context.Context, p *process.Process) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = p.Stop(last) // it is killed then
}

// databaseURL is the URL of another database of the same server.
func databaseURL(of, name string) string {
	u, err := url.Parse(of)
	if err != nil {
		return of // the stack made it, and has connected to it
	}
	u.Path = "/" + name
	return u.String()
}
