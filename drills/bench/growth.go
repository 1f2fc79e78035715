package main

import (
	"context"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"waybill.example/devstack/stack"
	"waybill.example/drills/bench/internal/environment"
	"waybill.example/drills/load"
	"waybill.example/drills/report"
)

// growth measures the same with a long history in the tables.
func (b *bench) growth(ctx context.Context) error {
	before, err := b.snapshot(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := b.age(ctx); err != nil {
		return err
	}
	b.say("%d finished orders added in %s", b.History, time.Since(began).Round(time.Second))
	after, err := b.snapshot(ctx)
	if err != nil {
		return err
	}
	section := b.report.Part("Growth", "The same system before and after finished orders fill its tables: orders, sagas and their histories, reservations, outboxes and inboxes.")
	section.Add("growth_history", float64(b.History), "orders", nil)
	section.Add("growth_throughput_before", before.rate, "sagas/s", nil)
	section.Add("growth_throughput_after", after.rate, "sagas/s", nil)
	section.Add("growth_throughput_loss", 100*(1-after.rate/before.rate), "%", report.Most(10))
	section.Add("growth_confirm_p50_before", milliseconds(before.confirm), "ms", nil)
	section.Add("growth_confirm_p50_after", milliseconds(after.confirm), "ms", nil)
	section.Add("growth_confirm_p50_gain", 100*(float64(after.confirm)/float64(before.confirm)-1), "%", report.Most(10))
	section.Add("growth_cpu_us_before", before.cpu, "us/saga", nil)
	section.Add("growth_cpu_us_after", after.cpu, "us/saga", nil)
	return nil
}

// snapshot is what growth compares.
type snapshot struct {
	rate    float64       // of a burst, from its first order's POST to its last one's end
	confirm time.Duration // median at 200/s
	cpu     float64       // µs a saga, at 200/s
}

func (b *bench) snapshot(ctx context.Context) (s snapshot, err error) {
	if s.rate, err = b.burst(ctx); err != nil {
		return s, err
	}
	t, err := b.followedTrial(ctx, b.sys, 200)
	if err != nil {
		return s, err
	}
	s.confirm = t.load.Confirm().Quantile(0.5)
	t.usage(func(name string, cpu time.Duration) {
		if name != environment.Load {
			s.cpu += float64(cpu.Microseconds()) / t.accepted()
		}
	})
	return s, nil
}

// burst places as many orders as take some ten seconds, as fast as they are taken, and returns how
// many ended a second.
func (b *bench) burst(ctx context.Context) (float64, error) {
	count := max(1000, int64(1000*b.Search.Seconds()))
	began := time.Now()
	_, err := try(ctx, b.sys, load.Config{Rate: math.Inf(1), Count: count}, 0, nil)
	return float64(count) / time.Since(began).Seconds(), err
}

// age fills the tables with orders that look like the one that the bench placed last. The relay
// stands still meanwhile: it would take the new rows for a very long backlog.
func (b *bench) age(ctx context.Context) error {
	if err := b.act(ctx, stack.Stop, stack.Relay); err != nil {
		return err
	}
	var template, last int64
	if err := b.sys.Orders().QueryRow(ctx, templateSQL).Scan(&template, &last); err != nil {
		return err
	}
	databases := b.stack.State().Databases
	group, filling := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for name, tables := range historyTables {
		group.Go(func() error {
			h := history{template: template, first: last + 1, count: b.History}
			return h.fill(filling, databases[name], tables)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return b.act(ctx, stack.Start, stack.Relay)
}
