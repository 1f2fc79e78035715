package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"waybill.example/devstack/stack"
	"waybill.example/drills/bench/internal/environment"
	"waybill.example/drills/bench/internal/paired"
	"waybill.example/drills/internal/revision"
	"waybill.example/drills/load"
)

// compareCommand measures the working tree against another revision. Both stacks are up all the
// time, and get the same load in turns, one while the other idles, because a machine's speed may
// drift by a factor of two between two runs of the whole bench.
type compareCommand struct {
	Base  string        `required:"" help:"The revision to compare with."`
	Rates []float64     `default:"50,500,1200" help:"Orders a second of the turns."`
	Turns int           `default:"5" help:"Turns per rate, each of both sides."`
	Turn  time.Duration `default:"10s" help:"How long one side has the load."`
	Peak  time.Duration `default:"15s" help:"How long each side's highest rate is searched for in a turn; 0 leaves that out."`
	Env   []string      `help:"A setting of the working tree's side alone, as NAME=value; with --base=HEAD, what it costs." sep:"none"`
	Dir   string        `default:".waybill/compare" help:"Where both stacks keep their data. Relative to the source tree."`
}

// side is one of the two stacks.
type side struct {
	name  string
	stack *revision.Stack
	sys   *environment.System
}

func (c *compareCommand) Run(ctx context.Context, out io.Writer) (err error) {
	workspace, err := stack.Workspace(".")
	if err != nil {
		return err
	}
	dir := within(workspace, c.Dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of the comparison: %w", err)
	}
	commit, err := revision.Checkout(ctx, workspace, c.Base, filepath.Join(dir, "tree"))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "# base is %.12s, head the working tree; a ratio is head/base of one turn\n", commit)
	sides := []*side{{name: "base"}, {name: "head"}}
	defer func() {
		for _, s := range sides {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	if err := sides[0].start(ctx, filepath.Join(dir, "tree"), dir); err != nil {
		return fmt.Errorf("base: %w", err)
	}
	if err := sides[1].start(ctx, workspace, dir, c.Env...); err != nil {
		return fmt.Errorf("head: %w", err)
	}
	return c.measure(ctx, sides[0], sides[1], out)
}

// start brings the side's stack up. Its data and log are named after it.
func (s *side) start(ctx context.Context, tree, dir string, env ...string) error {
	log, err := os.Create(filepath.Join(dir, s.name+".log"))
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	if s.stack, err = revision.Start(ctx, tree, filepath.Join(dir, s.name), log, env...); err != nil {
		return err
	}
	state := s.stack.State
	s.sys, err = environment.Connect(ctx, environment.Config{
		Processes: func() []environment.Process { return processes(state) },
		Addrs:     []string{addr(state, stack.Orders)},
		Orders:    state.Databases[stack.Orders],
		Outboxes:  state.Databases,
	})
	if err != nil {
		return err
	}
	return restock(ctx, addr(state, stack.Inventory))
}

func (s *side) close(ctx context.Context) error {
	if s.sys != nil {
		s.sys.Close()
	}
	if s.stack == nil {
		return nil
	}
	return s.stack.Close(context.WithoutCancel(ctx))
}

// measure takes the turns of each rate, then those of the highest rate, and prints each figure as
// soon as it has all its turns.
func (c *compareCommand) measure(ctx context.Context, base, head *side, out io.Writer) error {
	for _, rate := range c.Rates {
		suffix := fmt.Sprintf("_%.0f", rate)
		err := c.turns(ctx, base, head, out, suffix, func(ctx context.Context, s *side) (figures, error) {
			return s.atRate(ctx, rate, c.Turn)
		})
		if err != nil {
			return err
		}
	}
	if c.Peak == 0 {
		return nil
	}
	return c.turns(ctx, base, head, out, "_peak", func(ctx context.Context, s *side) (figures, error) {
		return s.atPeak(ctx, c.Peak)
	})
}

// turns measures both sides in each turn, and prints the figures.
func (c *compareCommand) turns(ctx context.Context, base, head *side, out io.Writer, suffix string,
	measure func(context.Context, *side) (figures, error),
) error {
	table, err := turns(ctx, c.Turns, base, head, measure)
	if err != nil {
		return err
	}
	for _, f := range table.Figures() {
		f.Name += suffix
		fmt.Fprintln(out, f)
	}
	return nil
}

// turns measures both sides n times, and returns the figures that both have. The side that begins
// changes, so that neither always follows the other's load. A turn before the first warms both up
// and does not count.
func turns(ctx context.Context, n int, base, head *side, measure func(context.Context, *side) (figures, error)) (*paired.Table, error) {
	var table paired.Table
	for turn := range n + 1 {
		order := []*side{base, head}
		if turn%2 == 1 {
			order = []*side{head, base}
		}
		taken := map[*side]figures{}
		for _, s := range order {
			var err error
			if taken[s], err = measure(ctx, s); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
		}
		if turn == 0 {
			continue
		}
		for _, f := range taken[base] {
			if i := slices.IndexFunc(taken[head], func(other figure) bool { return other.name == f.name }); i >= 0 {
				table.Add(f.name, f.unit, f.value, taken[head][i].value)
			}
		}
	}
	return &table, nil
}

// figure is one measure of one turn.
type figure struct {
	name, unit string
	value      float64
}

type figures []figure

// atRate gives the side a load of constant rate, and follows some of its orders.
func (s *side) atRate(ctx context.Context, rate float64, length time.Duration) (figures, error) {
	switches := s.sys.Switches()
	before, err := s.sys.Writes(ctx)
	if err != nil {
		return nil, err
	}
	t, err := try(ctx, s.sys, load.Config{Rate: rate, Follow: followed}, length, nil)
	if err != nil {
		return nil, err
	}
	after, err := s.sys.Writes(ctx)
	if err != nil {
		return nil, err
	}
	perSaga := func(n int64) float64 { return float64(n) / t.accepted() }
	return append(cpuFigures(t),
		figure{"confirm_p50", "ms", milliseconds(t.load.Confirm().Quantile(0.5))},
		figure{"confirm_p99", "ms", milliseconds(t.load.Confirm().Quantile(0.99))},
		figure{"post_p50", "ms", milliseconds(t.load.Post().Quantile(0.5))},
		figure{"switches", "per saga", perSaga(s.sys.Switches() - switches)},
		figure{"wal", "bytes/saga", perSaga(after.WAL - before.WAL)},
		figure{"rows", "per saga", perSaga(after.Rows - before.Rows)},
	), nil
}

// atPeak looks for the highest rate that the side keeps up with.
func (s *side) atPeak(ctx context.Context, length time.Duration) (figures, error) {
	t, err := searched(ctx, s.sys, length)
	if err != nil {
		return nil, err
	}
	return append(cpuFigures(t), figure{"throughput", "sagas/s", t.ended()}), nil
}

// cpuFigures is what a saga costs the system, and each of its processes.
func cpuFigures(t *trial) figures {
	var all time.Duration
	var each figures
	t.usage(func(name string, cpu time.Duration) {
		if name == environment.Load {
			return
		}
		all += cpu
		each = append(each, figure{"cpu_us_" + name, "us/saga", float64(cpu.Microseconds()) / t.accepted()})
	})
	return append(figures{{"cpu_us", "us/saga", float64(all.Microseconds()) / t.accepted()}}, each...)
}
