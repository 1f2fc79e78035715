package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"waybill.example/devstack/stack"
	"waybill.example/drills/bench/internal/environment"
	"waybill.example/drills/report"
)

// part is something to measure. Parts run in this order, and use what those before them found.
type part struct {
	name string
	run  func(*bench, context.Context) error
}

var allParts = []part{
	{"idle", (*bench).idle}, // before anything else has left something to clear away
	{"limit", (*bench).limit},
	{"throughput", (*bench).throughput},
	{"latency", (*bench).latency},
	{"start", (*bench).start},
	{"sync-vs-async", (*bench).syncVsAsync},
	{"embedded", (*bench).embedded},
	{"memory", (*bench).memory},
	{"long", (*bench).long},
	{"backlog", (*bench).backlog},
	{"baseline", (*bench).baseline},
	{"growth", (*bench).growth},
	{"scaling", (*bench).scaling},
}

func partNames() []string {
	var names []string
	for _, p := range allParts {
		names = append(names, p.name)
	}
	return names
}

// bench is one run.
type bench struct {
	options
	workspace string
	out       io.Writer
	report    *report.Report

	stack *stack.Stack
	sys   *environment.System

	orderTxLimit float64 // from the part limit; 0 where it did not run
	sagaRate     float64 // from the part throughput
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	chosen, err := choose(o.Parts)
	if err != nil {
		return err
	}
	workspace, err := stack.Workspace(".")
	if err != nil {
		return err
	}
	b := &bench{options: o, workspace: workspace, out: out, report: report.New(out)}
	b.sagaRate = o.Rate
	defer func() {
		err = errors.Join(err, b.down(ctx), b.write())
	}()
	if err := b.up(ctx, within(workspace, o.Dir)); err != nil {
		return err
	}
	var failed []error
	for _, p := range chosen {
		b.say("%s", p.name)
		err := p.run(b, ctx)
		if err == nil {
			continue
		}
		failed = append(failed, fmt.Errorf("%s: %w", p.name, err))
		if !o.KeepGoing || ctx.Err() != nil {
			break
		}
		b.say("%s failed: %v", p.name, err)
	}
	return errors.Join(failed...)
}

func choose(names []string) ([]part, error) {
	for _, name := range names {
		if !slices.Contains(partNames(), name) {
			return nil, fmt.Errorf("there is no part %q; there are %q", name, partNames())
		}
	}
	if len(names) == 0 {
		return allParts, nil
	}
	return slices.DeleteFunc(slices.Clone(allParts), func(p part) bool { return !slices.Contains(names, p.name) }), nil
}

// say tells what is being done, on the lines that scripts skip.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.out, "# %s %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// up starts a stack of the bench's own, on free ports.
func (b *bench) up(ctx context.Context, dir string) (err error) {
	b.say("starting a stack in %s", dir)
	b.stack, err = stack.Up(ctx, b.stackConfig(dir))
	if err != nil {
		return err
	}
	state := b.stack.State()
	b.sys, err = environment.Connect(ctx, environment.Config{
		Processes: b.processes,
		Addrs:     []string{addr(state, stack.Orders)},
		Orders:    state.Databases[stack.Orders],
		Outboxes:  state.Databases,
	})
	if err != nil {
		return err
	}
	return restock(ctx, addr(state, stack.Inventory))
}

// stackConfig is that of all stacks of a run.
func (b *bench) stackConfig(dir string) stack.Config {
	return stack.Config{
		Workspace: b.workspace, Dir: dir, EphemeralPorts: true, Fresh: true, Console: stack.NewConsole(io.Discard, false),
		KafkaNodes: stack.BrokerFlag{Broker: b.Broker}.KafkaNodes(),
	}
}

func (b *bench) processes() []environment.Process { return processes(b.stack.State()) }

func processes(state stack.State) []environment.Process {
	var all []environment.Process
	for _, p := range state.Processes {
		all = append(all, environment.Process{Name: p.Name, Pid: p.Pid})
	}
	return all
}

// down stops the stack, also when the run was interrupted.
func (b *bench) down(ctx context.Context) error {
	if b.sys != nil {
		b.sys.Close()
		b.sys = nil
	}
	if b.stack == nil {
		return nil
	}
	s := b.stack
	b.stack = nil
	return s.Down(context.WithoutCancel(ctx))
}

// write writes the report in both of its forms.
func (b *bench) write() error {
	return errors.Join(b.writeAs(b.HTML, b.report.HTML), b.writeAs(b.Markdown, b.report.Markdown))
}

func (b *bench) writeAs(path string, render func(w io.Writer, machine string) error) error {
	path = within(b.workspace, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	machine := fmt.Sprintf("%s/%s, %d cores, %s, %s broker", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), b.Broker)
	if err := errors.Join(render(file, machine), file.Close()); err != nil {
		return err
	}
	b.say("report: %s", path)
	return nil
}

func addr(state stack.State, name string) string {
	p, _ := state.Process(name)
	return p.Addr
}

// within takes a path as relative to the source tree.
func within(workspace, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(workspace, path)
}
