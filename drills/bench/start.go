package main

import (
	"cmp"
	"context"
	"time"

	"waybill.example/drills/load"
	"waybill.example/drills/report"
)

const (
	bursts = 5
	// pause before each burst is long enough for everything to sleep.
	pause = 3 * time.Second
	// burstRate is the rate of a burst where no highest rate is known, in orders per second.
	burstRate = 500
)

// start measures the first second of a load that begins after a pause.
func (b *bench) start(ctx context.Context) error {
	section := b.report.Part("Start", "The first second of a load, at 70 % of the highest rate, after three seconds without any: from when a POST was due to its answer, and from an order's transaction to the one that confirmed it.")
	rate := cmp.Or(0.7*b.sagaRate, burstRate)
	first, err := b.sys.LastOrder(ctx)
	if err != nil {
		return err
	}
	posts := load.NewHistogram()
	for range bursts {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		t, err := try(ctx, b.sys, load.Config{Rate: rate}, time.Second, nil)
		if err != nil {
			return err
		}
		posts.Add(t.load.Post())
	}
	last, err := b.sys.LastOrder(ctx)
	if err != nil {
		return err
	}
	p50, p99, err := b.sys.Confirmed(ctx, first, last)
	if err != nil {
		return err
	}
	section.Add("burst_rate", rate, "orders/s", nil)
	section.Add("burst_post_p99", milliseconds(posts.Quantile(0.99)), "ms", nil)
	section.Add("burst_confirm_p50", milliseconds(p50), "ms", nil)
	section.Add("burst_confirm_p99", milliseconds(p99), "ms", report.Most(500))
	return nil
}
