package main

import (
	"context"
	"errors"
	"time"

	"waybill.example/devstack/stack"
	"waybill.example/drills/bench/internal/environment"
	"waybill.example/drills/bench/internal/procstat"
	"waybill.example/drills/load"
	"waybill.example/drills/report"
)

// processOrder is the order in which processes are listed.
var processOrder = []string{
	stack.Postgres, stack.Broker, stack.Orders, stack.Inventory, stack.Orchestrator, stack.Relay,
	baselineOrders, baselineInventory, environment.Load,
}

var errNotSustained = errors.New("no rate was sustained")

// search finds about the highest rate that a system keeps up with: it raises the rate while less
// waits than comes in a second and a half, lowers it when more does (the more waits, the larger the
// batches, so a system under pressure does more), and returns a little less than what ended a
// second in the second half.
func search(ctx context.Context, sys *environment.System, length time.Duration) (float64, error) {
	t, err := searched(ctx, sys, length)
	if err != nil {
		return 0, err
	}
	return 0.97 * t.ended(), nil
}

// searched is the trial of a search.
func searched(ctx context.Context, sys *environment.System, length time.Duration) (*trial, error) {
	const start = 200
	fast := true // until the first sign of too much
	var was moment
	return try(ctx, sys, load.Config{Rate: start}, length, func(l *load.Generator, m moment) {
		waiting := float64(m.Backlog() + int64(m.late))
		ended := float64(m.confirmed()-was.confirmed()) / every.Seconds()
		was = m
		switch rate := l.Rate(); {
		case waiting > 1.5*rate+20:
			fast = false
			l.SetRate(max(0.9*ended, start/4)) // what it can do now, less what it needs to catch up
		case fast:
			l.SetRate(1.3 * rate)
		default:
			l.SetRate(1.03 * rate)
		}
	})
}

// sustained tries a rate for a time, and a lower one if the backlog grew, until one holds. How many
// orders ended a second under too many says how low.
func (b *bench) sustained(ctx context.Context, sys *environment.System, rate float64, length time.Duration) (*trial, error) {
	const tries = 6
	for range tries {
		b.say("trying %.0f orders/s for %s", rate, length)
		t, err := try(ctx, sys, load.Config{Rate: rate}, length, nil)
		if err != nil {
			return nil, err
		}
		if t.steady() {
			return t, nil
		}
		rate = min(0.95*rate, max(0.98*t.ended(), 0.8*rate))
	}
	return nil, errNotSustained
}

// throughput searches for the highest rate of sagas, unless it was given, and sustains it.
func (b *bench) throughput(ctx context.Context) error {
	rate := b.Rate
	if rate == 0 {
		var err error
		if rate, err = search(ctx, b.sys, b.Search); err != nil {
			return err
		}
	}
	t, err := b.sustained(ctx, b.sys, rate, b.Sustain)
	if err != nil {
		return err
	}
	b.sagaRate = t.accepted() / t.took.Seconds()
	section := b.report.Part("Throughput", "Orders taken by POST and CONFIRMED, at the highest rate at which neither the outboxes nor the PENDING orders grow.")
	section.Add("saga_throughput", b.sagaRate, "sagas/s", report.Least(4000))
	if b.orderTxLimit > 0 {
		section.Add("saga_ratio", b.sagaRate/b.orderTxLimit, "of order_tx_limit", report.Least(0.35))
	}
	addCPU(section, "saga", t)
	section.Plot(rates("Orders accepted and ended", t))
	section.Plot(waiting(t))
	section.Plot(cores(t))
	return nil
}

// addCPU adds what a saga costs each process. The load generator is no part of the environment.
func addCPU(section *report.Part, prefix string, t *trial) {
	if !procstat.Supported {
		return
	}
	micros := func(cpu time.Duration) float64 { return float64(cpu.Microseconds()) / t.accepted() }
	var all time.Duration
	t.usage(func(name string, cpu time.Duration) {
		if name != environment.Load {
			all += cpu
		}
	})
	section.Add(prefix+"_cpu_us", micros(all), "us/saga", nil)
	t.usage(func(name string, cpu time.Duration) { section.Add(prefix+"_cpu_us_"+name, micros(cpu), "us/saga", nil) })
}

// rates plots how many orders were accepted and ended a second.
func rates(title string, t *trial) report.Chart {
	accepted, ended := report.Line{Name: "accepted"}, report.Line{Name: "ended"}
	for i := 1; i < len(t.moments); i++ {
		was, is := t.moments[i-1], t.moments[i]
		seconds := is.At.Sub(was.At).Seconds()
		at := is.At.Sub(t.moments[0].At).Seconds()
		accepted.Points = append(accepted.Points, report.Point{X: at, Y: float64(is.accepted-was.accepted) / seconds})
		ended.Points = append(ended.Points, report.Point{X: at, Y: max(0, float64(is.confirmed()-was.confirmed())/seconds)})
	}
	return report.Chart{Title: title, Unit: "orders/s", XUnit: " s", Lines: []report.Line{accepted, ended}}
}

// waiting plots what waited.
func waiting(t *trial) report.Chart {
	chart := report.Chart{Title: "Waiting", Unit: "orders that are PENDING, outbox rows to publish", XUnit: " s"}
	pending := report.Line{Name: "PENDING"}
	outboxes := map[string]*report.Line{}
	for _, m := range t.moments {
		at := m.At.Sub(t.moments[0].At).Seconds()
		pending.Points = append(pending.Points, report.Point{X: at, Y: float64(m.Pending)})
		for name, rows := range m.Unpublished {
			if outboxes[name] == nil {
				outboxes[name] = &report.Line{Name: "outbox of " + name}
			}
			outboxes[name].Points = append(outboxes[name].Points, report.Point{X: at, Y: float64(rows)})
		}
	}
	chart.Lines = append(chart.Lines, pending)
	for _, name := range processOrder {
		if line := outboxes[name]; line != nil {
			chart.Lines = append(chart.Lines, *line)
		}
	}
	return chart
}

// cores plots how many processors each process used.
func cores(t *trial) report.Chart {
	chart := report.Chart{Title: "CPU by process", Unit: "cores", XUnit: " s"}
	for _, name := range t.names() {
		line := report.Line{Name: name}
		for i := 1; i < len(t.moments); i++ {
			was, is := t.moments[i-1], t.moments[i]
			used := is.Usage[name].CPU - was.Usage[name].CPU
			line.Points = append(line.Points, report.Point{
				X: is.At.Sub(t.moments[0].At).Seconds(), Y: max(0, used.Seconds()/is.At.Sub(was.At).Seconds()),
			})
		}
		chart.Lines = append(chart.Lines, line)
	}
	return chart
}
