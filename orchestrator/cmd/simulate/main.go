// Simulate runs the order saga through a world that goes wrong, seed after
// seed, and stops at the first broken promise with what led to it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"waybill/orchestrator/internal/simulation"
)

type options struct {
	Seeds  uint64        `help:"How many seeds to run." default:"1000"`
	From   uint64        `help:"The first seed."`
	Orders int           `help:"Orders in each run." default:"20"`
	Bug    string        `help:"Plant a known bug: ${enum}." enum:",offset-first,forget-late-reply,no-dedup,forget-release" default:""`
	For    time.Duration `help:"Stop after this long, however many seeds are left." default:"0"`
	Trace  bool          `help:"Print what happened in the first seed, even if nothing is wrong."`
}

var bugs = map[string]simulation.Bug{
	"": simulation.NoBug, "offset-first": simulation.OffsetFirst, "forget-late-reply": simulation.ForgetLateReply,
	"no-dedup": simulation.NoDedup, "forget-release": simulation.ForgetRelease,
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("simulate"),
		kong.Description("Run the order saga through loss, duplicates, reordering, delays and crashes, and check that every promise holds."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		stop()
		os.Exit(1)
	}
}

var errBroken = errors.New("a promise was broken")

func run(ctx context.Context, o options, out, progress io.Writer) error {
	if o.Trace {
		return one(o, o.From, out)
	}
	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	bar := progressbar.NewOptions64(int64(o.Seeds), progressbar.OptionSetWriter(progress), progressbar.OptionSetVisibility(terminal(progress)),
		progressbar.OptionSetDescription("seeds"), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	total, failed, broken := all(ctx, o, func() { _ = bar.Add(1) })
	_ = bar.Finish() // a bar that cannot be drawn is no reason to fail
	if broken {
		return one(o, failed, out)
	}
	total.print(out)
	if errors.Is(ctx.Err(), context.Canceled) {
		return errors.New("interrupted")
	}
	return nil
}

// terminal keeps a bar that draws over itself out of a log file.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// one runs a seed again, with a trace.
func one(o options, seed uint64, out io.Writer) error {
	r := simulation.Run(simulation.Config{Seed: seed, Orders: o.Orders, Bug: bugs[o.Bug], Trace: true})
	for _, line := range r.Trace {
		if o.Trace || concerns(line, r.Violations) {
			fmt.Fprintln(out, line)
		}
	}
	if len(r.Violations) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nSeed %d breaks what was promised:\n", seed)
	for _, v := range r.Violations {
		fmt.Fprintln(out, "  -", v)
	}
	again := fmt.Sprintf("--from %d --seeds 1", seed)
	if o.Bug != "" {
		again += " --bug " + o.Bug
	}
	fmt.Fprintf(out, "Above is what concerns it. For all that happened: simulate %s --orders %d --trace\n", again, o.Orders)
	return errBroken
}

var subject = regexp.MustCompile(`\b(?:order|saga) (\d+)\b`)

// concerns says whether a line of the trace is about an order that a violation
// names, or about the world as a whole.
func concerns(line string, violations []string) bool {
	about := subject.FindStringSubmatch(line)
	if about == nil {
		return true
	}
	return slices.ContainsFunc(violations, func(v string) bool {
		named := subject.FindStringSubmatch(v)
		return named == nil || named[1] == about[1]
	})
}

// summary is what all seeds came to.
type summary struct {
	runs, sagas, confirmed, cancelled int
	faults                            simulation.Faults
}

// all runs the seeds on all cores. It stops early at a broken promise, and
// then returns the lowest seed that was seen to break one.
func all(ctx context.Context, o options, done func()) (total summary, failed uint64, broken bool) {
	var (
		mu   sync.Mutex
		next atomic.Uint64
		wg   sync.WaitGroup
	)
	stopped := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return broken
	}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for ctx.Err() == nil && !stopped() {
				n := next.Add(1) - 1
				if n >= o.Seeds {
					return
				}
				r := simulation.Run(simulation.Config{Seed: o.From + n, Orders: o.Orders, Bug: bugs[o.Bug]})
				mu.Lock()
				total.add(r)
				if len(r.Violations) > 0 && (!broken || r.Seed < failed) {
					broken, failed = true, r.Seed
				}
				mu.Unlock()
				done()
			}
		})
	}
	wg.Wait()
	return total, failed, broken
}

func (s *summary) add(r simulation.Result) {
	s.runs++
	s.sagas += r.Sagas
	s.confirmed += r.Confirmed
	s.cancelled += r.Cancelled
	s.faults.Add(r.Faults)
}

func (s *summary) print(out io.Writer) {
	fmt.Fprintf(out, "%d seeds, %d sagas: %d confirmed, %d cancelled, every promise held.\n\nInjected, and survived:\n",
		s.runs, s.sagas, s.confirmed, s.cancelled)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for name, n := range s.faults.Counts() {
		fmt.Fprintf(table, "%d\t  %s\n", n, name)
	}
	_ = table.Flush() // a terminal that is gone
}
