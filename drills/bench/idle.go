package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"waybill.example/drills/bench/internal/environment"
	"waybill.example/drills/report"
)

const (
	// idleSettle is how long nobody must have asked for anything: everything sleeps by then, and
	// autovacuum has looked at what was inserted before.
	idleSettle = 2 * time.Minute
	// What the report says of statements: the most frequent ones.
	idleStatements = 12
)

// idle measures what a system costs that nobody uses.
func (b *bench) idle(ctx context.Context) error {
	section := b.report.Part("Idle", "What a system costs that nobody uses: statements and transactions in all of its databases, WAL, processor time and context switches of each process.")
	if _, err := b.sys.AwaitQuiescence(ctx, time.Minute); err != nil {
		return err
	}
	if err := sleep(ctx, min(idleSettle, b.Idle)); err != nil {
		return err
	}
	before, err := b.sys.Count(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, b.Idle); err != nil {
		return err
	}
	after, err := b.sys.Count(ctx)
	if err != nil {
		return err
	}
	b.sayStatements(before, after)
	addIdle(section, before, after)
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// addIdle adds the figures of the time between two counts.
func addIdle(section *report.Part, before, after environment.Counters) {
	seconds := after.At.Sub(before.At).Seconds()
	var transactions, statements int64
	for name, n := range after.Transactions {
		transactions += n - before.Transactions[name]
	}
	for one, calls := range after.Statements {
		statements += calls - before.Statements[one]
	}
	section.Add("idle_transactions", float64(transactions)/seconds, "/s", nil)
	if len(after.Statements) > 0 {
		section.Add("idle_statements", float64(statements)/seconds, "/s", nil)
	}
	section.Add("idle_wal", float64(after.WAL-before.WAL)/1024*3600/seconds, "KiB/h", nil)
	total := 0.0
	for _, name := range slices.Sorted(maps.Keys(after.Switches)) {
		share := 100 * (after.Usage[name].CPU - before.Usage[name].CPU).Seconds() / seconds
		total += share
		section.Add("idle_cpu_"+name, share, "% of a core", nil)
		section.Add("idle_switches_"+name, float64(after.Switches[name]-before.Switches[name])/seconds, "/s", nil)
	}
	section.Add("idle_cpu", total, "% of a core", nil)
}

// sayStatements prints the statements that were most frequent.
func (b *bench) sayStatements(before, after environment.Counters) {
	calls := map[environment.Statement]int64{}
	for one, n := range after.Statements {
		if n -= before.Statements[one]; n > 0 {
			calls[one] = n
		}
	}
	frequent := slices.SortedFunc(maps.Keys(calls), func(a, c environment.Statement) int {
		return cmp.Or(cmp.Compare(calls[c], calls[a]), cmp.Compare(a.Database, c.Database), cmp.Compare(a.Text, c.Text))
	})
	for _, one := range frequent[:min(idleStatements, len(frequent))] {
		b.say("%6.2f/s %-12s %.120s", float64(calls[one])/after.At.Sub(before.At).Seconds(), one.Database, one.Text)
	}
}
