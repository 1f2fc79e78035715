package main

import (
	"context"
	"fmt"
	"time"

	"waybill.example/drills/bench/internal/environment"
	"waybill.example/drills/load"
)

const (
	// every is how often a system is looked at during a trial.
	every = 500 * time.Millisecond
	// waitTimeout is how long the orders of a trial may take to end after it.
	waitTimeout = 2 * time.Minute
)

// moment is a sample and how far the load had come by then.
type moment struct {
	environment.Sample
	accepted int64
	late     int
	rate     float64
}

// confirmed is how many of the trial's orders had ended.
func (m moment) confirmed() int64 { return m.accepted - m.Pending }

// trial is a load on a system, and what was seen of both.
type trial struct {
	load    *load.Generator
	moments []moment
	before  environment.Usage
	after   environment.Usage // when the last order had ended
	took    time.Duration
}

// try makes a load for a time, waits until its orders have ended, and returns what was seen. steer,
// if there is one, sees each moment and may change the rate.
func try(ctx context.Context, sys *environment.System, cfg load.Config, length time.Duration, steer func(*load.Generator, moment)) (*trial, error) {
	generator, err := load.New(ordering(cfg, sys))
	if err != nil {
		return nil, err
	}
	t := &trial{load: generator, before: sys.Usage()}
	loading, stop := context.WithCancel(ctx)
	if length > 0 {
		loading, stop = context.WithTimeout(ctx, length)
	}
	defer stop()
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.load.Run(loading)
	}()
	err = t.watch(ctx, sys, done, steer)
	stop()
	<-done
	t.took = time.Since(began)
	if err != nil {
		return nil, err
	}
	if totals := t.load.Totals(); totals.Failed > 0 {
		return nil, fmt.Errorf("%d orders were not taken: %v", totals.Failed, totals.Failures)
	}
	quiet, err := sys.AwaitQuiescence(ctx, waitTimeout)
	if err != nil {
		return nil, err
	}
	if !quiet {
		return nil, fmt.Errorf("orders are still PENDING %s after the last was placed", waitTimeout)
	}
	t.after = sys.Usage()
	return t, nil
}

// ordering completes a load for a system: a few popular skus in turn, one item each, without keys.
func ordering(cfg load.Config, sys *environment.System) load.Config {
	for _, addr := range sys.Addrs {
		cfg.URLs = append(cfg.URLs, "http://"+addr)
	}
	for _, sku := range skus {
		cfg.Mix = append(cfg.Mix, load.Choice{Weight: 1, SKU: sku, Quantity: 1})
	}
	cfg.InTurn, cfg.NoKeys, cfg.Note = true, true, "bench"
	cfg.Run, cfg.Users = "u", 10_000
	if cfg.InFlight == 0 {
		cfg.InFlight = 256
	}
	return cfg
}

func (t *trial) watch(ctx context.Context, sys *environment.System, done <-chan struct{}, steer func(*load.Generator, moment)) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return ctx.Err()
		case <-ticker.C:
		}
		accepted := t.load.Accepted()
		sample, err := sys.Look(ctx)
		if err != nil {
			return err
		}
		m := moment{Sample: sample, accepted: accepted, late: t.load.Late(), rate: t.load.Rate()}
		t.moments = append(t.moments, m)
		if steer != nil {
			steer(t.load, m)
		}
	}
}

// accepted is how many orders the trial placed.
func (t *trial) accepted() float64 { return float64(t.load.Accepted()) }

// ended is how many orders ended a second in the second half.
func (t *trial) ended() float64 {
	half, last := t.moments[len(t.moments)/2], t.moments[len(t.moments)-1]
	return float64(last.confirmed()-half.confirmed()) / last.At.Sub(half.At).Seconds()
}

// steady says whether the backlog did not grow, once the load was under way: whether on average as
// much waited in the last third as in the one before, but for a hundredth of what was ordered
// meanwhile, and what comes and goes within a tenth of a second.
func (t *trial) steady() bool {
	third := len(t.moments) / 3
	if third == 0 {
		return false
	}
	backlog := func(moments []moment) (mean float64) {
		for _, m := range moments {
			mean += float64(m.Backlog()+int64(m.late)) / float64(len(moments))
		}
		return mean
	}
	middle, last := t.moments[third:2*third], t.moments[2*third:]
	ordered := float64(last[len(last)-1].accepted - middle[len(middle)/2].accepted)
	return backlog(last)-backlog(middle) <= 0.01*ordered+0.1*t.load.Rate()+10
}

// usage calls each for every process, with what it used during the trial.
func (t *trial) usage(each func(name string, cpu time.Duration)) {
	for _, name := range t.names() {
		each(name, t.after[name].CPU-t.before[name].CPU)
	}
}

// names are the processes that lived through the trial, servers first.
func (t *trial) names() []string {
	var names []string
	for _, name := range processOrder {
		_, before := t.before[name]
		if _, after := t.after[name]; before && after {
			names = append(names, name)
		}
	}
	return names
}
