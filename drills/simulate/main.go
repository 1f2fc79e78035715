// Simulate runs the order flow through a world that goes wrong, seed after seed, and stops at the
// first broken promise with what led to it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"waybill.example/chassis/exitstatus"
	"waybill.example/chassis/version"
	"waybill.example/drills/ordersim"
	"waybill.example/sdk/saga/sagasim"
)

type options struct {
	Seeds    uint64           `help:"How many seeds to run." default:"1000"`
	From     uint64           `help:"The first seed."`
	Orders   int              `help:"Orders in each run." default:"20"`
	Bug      string           `help:"Take a safeguard out: ${bugs}." default:""`
	For      time.Duration    `help:"Stop after this long, however many seeds are left." default:"0"`
	Trace    bool             `help:"Print what happened in the first seed, even if nothing is wrong."`
	Version  kong.VersionFlag `help:"Say what was built, and stop."`
	Coverage bool             `help:"Print each move that was made, and how often."`
}

// Validate implements kong's interface for options that are checked together.
func (o options) Validate() error {
	if o.Bug != "" && !slices.Contains(ordersim.Bugs(), sagasim.Bug(o.Bug)) {
		return fmt.Errorf("--bug must be one of %s", bugs())
	}
	return nil
}

func bugs() string {
	names := make([]string, 0, len(ordersim.Bugs()))
	for _, b := range ordersim.Bugs() {
		names = append(names, string(b))
	}
	return strings.Join(names, ", ")
}

func (o options) config(seed uint64) ordersim.Config {
	return ordersim.Config{Config: sagasim.Config{Seed: seed, Bug: sagasim.Bug(o.Bug)}, Orders: o.Orders}
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("simulate"), kong.Exit(exitstatus.Exit), kong.Vars{"bugs": bugs(), "version": "simulate " + version.Get().String()},
		kong.Description("Run the order flow through loss, duplicates, reordering, delays, crashes, restores, deployments and interventions, and check that every promise holds."))
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
	total, failed, broken := all(ctx, o, progress)
	if broken {
		return one(o, failed, out)
	}
	total.print(out, o.Coverage)
	if errors.Is(ctx.Err(), context.Canceled) {
		return errors.New("interrupted")
	}
	return nil
}

// one runs a seed again, with a trace.
func one(o options, seed uint64, out io.Writer) error {
	c := o.config(seed)
	c.Trace = true
	r := ordersim.Run(c)
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

var subject = regexp.MustCompile(`(?:\border |\border/|\bof )(\d+)\b`)

// concerns says whether a line of the trace is about an order that a violation names, or about the
// world as a whole.
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
