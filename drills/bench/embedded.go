package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"waybill.example/chassis/config"
	"waybill.example/chassis/telemetry"
	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
	"waybill.example/devstack/stack"
	"waybill.example/drills/bench/internal/environment"
	"waybill.example/drills/bench/internal/paired"
	"waybill.example/drills/report"
	"waybill.example/migrations"
	"waybill.example/orders/embedded"
)

// embeddedCommand is how the bench runs Orders with the saga in it: as itself, under another name.
type embeddedCommand struct{}

func (embeddedCommand) Run(ctx context.Context) error {
	var cfg embedded.Config
	if err := config.Load(&cfg); err != nil {
		return err
	}
	app, err := embedded.New(ctx, cfg, telemetry.Logger(cfg.Telemetry, "embedded-orders", os.Stderr))
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

// embeddedRate is the rate at which latencies and costs of the two shapes are compared, in orders
// per second.
const embeddedRate = 300

// embedded compares the two ways to run the order saga, in turns: by the orchestrator, and in
// Orders itself. Both sides have a stack of their own, with the same database server and broker
// settings.
func (b *bench) embedded(ctx context.Context) (err error) {
	head, stop, err := b.embeddedSide(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	base := &side{name: "stand-alone", sys: b.sys}
	section := b.report.Part("Embedded", "The order saga in Orders itself (one transaction for the order, the saga and its first command; two messages) against the stand-alone orchestrator (five messages). Each figure is the median ratio of turns, embedded/stand-alone.")
	measures := []struct {
		suffix string
		take   func(context.Context, *side) (figures, error)
	}{
		{fmt.Sprintf("_%d", embeddedRate), func(ctx context.Context, s *side) (figures, error) {
			return s.atRate(ctx, embeddedRate, b.Latency/3)
		}},
		{"_peak", func(ctx context.Context, s *side) (figures, error) { return s.atPeak(ctx, b.Search/2) }},
	}
	targets := map[string]*report.Target{"throughput_peak": report.Least(1.6), fmt.Sprintf("confirm_p50_%d", embeddedRate): report.Most(0.6)}
	for _, m := range measures {
		table, err := turns(ctx, b.embeddedTurns(), base, head, m.take)
		if err != nil {
			return err
		}
		for _, f := range table.Figures() {
			name := f.Name + m.suffix
			section.Add("embedded_"+name, f.Ratio().Median, "times the stand-alone", targets[name])
			b.say("%s: stand-alone %.4g, embedded %.4g %s, ratios %.3f to %.3f", name,
				paired.Median(f.Base), paired.Median(f.Head), f.Unit, f.Ratio().Lowest, f.Ratio().Highest)
		}
	}
	return nil
}

func (b *bench) embeddedTurns() int {
	if b.Quick {
		return 1
	}
	return 5
}

// embeddedSide starts a second stack, and replaces its Orders and its orchestrator.
func (b *bench) embeddedSide(ctx context.Context) (_ *side, stop func() error, err error) {
	var undo []func() error
	stop = func() (err error) {
		for _, f := range slices.Backward(undo) {
			err = errors.Join(err, f())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	dir := within(b.workspace, b.Dir) + "-embedded"
	b.say("starting a second stack in %s", dir)
	s, err := stack.Up(ctx, b.stackConfig(dir))
	if err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() error { return s.Down(context.WithoutCancel(ctx)) })
	for _, name := range []string{stack.Orchestrator, stack.Orders} {
		if err := s.Act(ctx, stack.Stop, name); err != nil {
			return nil, nil, err
		}
	}
	state := s.State()
	database := state.Databases[stack.Orders]
	if _, err := migrations.Up(ctx, database, migrations.Orchestrator); err != nil {
		return nil, nil, err
	}
	p, address, err := startEmbedded(ctx, dir, database, addr(state, stack.Broker))
	if err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() error { stopProcess(ctx, p); return nil })
	sys, err := environment.Connect(ctx, environment.Config{
		Processes: func() []environment.Process {
			all := slices.DeleteFunc(processes(s.State()), func(p environment.Process) bool { return p.Pid == 0 })
			return append(all, environment.Process{Name: stack.Orders, Pid: p.Pid()})
		},
		Addrs: []string{address}, Orders: database, Outboxes: state.Databases,
	})
	if err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() error { sys.Close(); return nil })
	return &side{name: "embedded", sys: sys}, stop, restock(ctx, addr(state, stack.Inventory))
}

// startEmbedded starts Orders with the saga in it, and waits until it is ready.
func startEmbedded(ctx context.Context, dir, database, brokers string) (_ *process.Process, address string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find the bench's own program: %w", err)
	}
	port, err := loopback.FreePort()
	if err != nil {
		return nil, "", err
	}
	address = loopback.Addr(port)
	log, err := os.Create(filepath.Join(dir, "logs", "embedded-orders.log"))
	if err != nil {
		return nil, "", fmt.Errorf("open the log of embedded-orders: %w", err)
	}
	p, err := process.Start(process.Command{
		Name: "embedded-orders", Path: self, Args: []string{"embedded-orders"}, Output: log,
		Env: append(stack.Environ(), "DATABASE_URL="+database, "KAFKA_BROKERS="+brokers, "HTTP_ADDR="+address),
	})
	if err != nil {
		return nil, "", errors.Join(err, log.Close())
	}
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := environment.AwaitReady(ready, address); err != nil {
		stopProcess(ctx, p)
		return nil, "", fmt.Errorf("embedded-orders: %w", err)
	}
	return p, address, nil
}
