// Package relay measures the outbox relay by itself, against what it is made of: plain librdkafka,
// plain inserts, and the loop that most people write first. The relay is the real program;
// Postgres, broker and producer are processes as well, and all of them share this machine, so that
// the ratios mean something wherever it runs.
package relay

import (
	"context"
	"fmt"
	"slices"

	"waybill.example/drills/report"
)

// The parts of the measurement, in the order in which they run.
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

// Parts are the names of what can be measured.
func Parts() (names []string) {
	for _, part := range parts {
		names = append(names, part.name)
	}
	return names
}

// Options say how much to measure.
type Options struct {
	Parts     []string // all, if there are none
	Rows      int      // of the backlog
	MemRows   int      // of the backlog that the part memory waits with
	History   int      // published rows that are there already, for the part history
	Databases []int    // how many databases one relay leads, for the part databases
	// Programs is where the built relay and devstack are.
	Programs string
	Say      func(format string, args ...any)
}

// Run measures, and adds what it has found to the report.
func Run(ctx context.Context, o Options, to *report.Report) error {
	for _, name := range o.Parts {
		if !slices.Contains(Parts(), name) {
			return fmt.Errorf("there is no part %q; there are %q", name, Parts())
		}
	}
	b, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	b.section = to.Part("Relay", "The outbox relay by itself: from rows of 300 bytes to a broker's acknowledgement.")
	for _, part := range parts {
		if len(o.Parts) > 0 && !slices.Contains(o.Parts, part.name) {
			continue
		}
		o.Say("relay %s", part.name)
		if err := part.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// figure adds one line of the result.
func (b *bench) figure(name string, value float64, unit string) {
	b.section.Add(name, value, unit, nil)
}
