// Command bench measures the relay against what it is made of: plain librdkafka, plain inserts, and the loop that most
// people write first. Everything runs on this machine in one go, Postgres, broker and relay as processes of their own,
// so that the ratios mean something wherever it runs. It prints one "name value unit" line a figure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
)

// The parts of the benchmark, in the order in which they run.
var parts = []struct {
	name string
	run  func(context.Context, *bench) error
}{
	{"drain", measureDrain},
	{"latency", measureLatency},
	{"insert", measureInsert},
	{"wakeup", measureWakeup},
	{"memory", measureMemory},
	{"retention", measureRetention},
	{"history", measureHistory},
	{"databases", measureDatabases},
}

type options struct {
	rows, history int
	only          string
	databases     string
	profile       string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var o options
	flag.IntVar(&o.rows, "rows", 500_000, "rows of the backlog")
	flag.IntVar(&o.history, "history", 10_000_000, "published rows that are there already, for the part history")
	flag.StringVar(&o.only, "only", "", "parts to run, separated by commas; all if empty")
	flag.StringVar(&o.databases, "databases", "1,10,100", "how many databases one relay leads, for the part databases")
	flag.StringVar(&o.profile, "profile", "", "write CPU profiles of relay and producer to this directory")
	flag.Parse()
	if err := run(ctx, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, args []string) error {
	if len(args) > 0 {
		return asRole(ctx, args)
	}
	b, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	for _, part := range parts {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), part.name) {
			continue
		}
		if err := part.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// profiled runs a role with a CPU profile, if the variable of the environment says where to.
func profiled(name string, role func() error) error {
	dir := os.Getenv(profileVariable)
	if dir == "" {
		return role()
	}
	file, err := os.Create(dir + "/" + name + ".prof")
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	err = role()
	pprof.StopCPUProfile()
	return errors.Join(err, file.Close())
}

// figure prints one line of the result.
func figure(name string, value float64, unit string) {
	switch {
	case value >= 100:
		fmt.Printf("%s %.0f %s\n", name, value, unit)
	default:
		fmt.Printf("%s %.3g %s\n", name, value, unit)
	}
}
