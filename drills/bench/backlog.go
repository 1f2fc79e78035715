package main

import (
	"context"
	"math"
	"time"

	"waybill.example/devstack/stack"
	"waybill.example/drills/load"
	"waybill.example/drills/report"
)

// recovery bounds the wait for a backlog to end.
const recovery = 10 * time.Minute

// backlog takes orders while there is no broker, and measures how long they all take to end when it
// is back.
func (b *bench) backlog(ctx context.Context) error {
	if err := b.stack.Act(ctx, stack.Stop, stack.Broker); err != nil {
		return err
	}
	orders, err := load.New(ordering(load.Config{Rate: math.Inf(1), Count: b.Backlog, InFlight: 128}, b.sys))
	if err != nil {
		return err
	}
	began := time.Now()
	orders.Run(ctx)
	taken := time.Since(began)
	b.say("%d orders taken without a broker; starting it", orders.Accepted())
	if err := b.stack.Act(ctx, stack.Start, stack.Broker); err != nil {
		return err
	}
	began = time.Now()
	t := &trial{load: orders}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for time.Since(began) < recovery {
		sample, err := b.sys.Look(ctx)
		if err != nil {
			return err
		}
		t.moments = append(t.moments, moment{Sample: sample, accepted: orders.Accepted()})
		if sample.Pending == 0 {
			break
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	took := time.Since(began)
	if _, err := b.sys.AwaitQuiescence(ctx, waitTimeout); err != nil {
		return err
	}
	section := b.report.Part("Backlog", "Orders taken while the broker is down, and the time from its return until the last of them has ended.")
	section.Add("backlog_orders", float64(orders.Accepted()), "orders", nil)
	section.Add("backlog_taken_rate", float64(orders.Accepted())/taken.Seconds(), "orders/s", nil)
	section.Add("backlog_recovery", took.Seconds(), "s", report.Most(60))
	section.Add("backlog_recovery_rate", float64(orders.Accepted())/took.Seconds(), "sagas/s", nil)
	section.Plot(rates("Orders ended", t))
	section.Plot(waiting(t))
	return nil
}
