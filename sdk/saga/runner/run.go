package runner

import (
	"context"
	"sync"
	"time"

	"waybill.example/sdk/inbox"
)

// How often and how fast the background work is done.
const (
	deadlinesEvery = 200 * time.Millisecond // the precision of a deadline; see also longestRest
	deadlinesBatch = 200
	expireEvery    = time.Minute
	expireBatch    = 1000
	expireRate     = 5000 // sagas per second
	wakeEvery      = 10 * time.Second
	followEvery    = 2 * time.Second
	gaugeEvery     = 10 * time.Second
)

// Run does the work that no message brings about, until ctx ends: it acts on deadlines that have
// passed, lets suspended sagas go on whose definition is registered here, and deletes sagas that
// ended longer ago than they are kept. Any number of processes may run at once; they share the
// work. Problems are logged and the work is tried again, so it always returns nil. It must be
// called once.
func (r *Runner) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, l := range r.loops() {
		running.Go(func() { l.run(ctx) })
	}
	running.Wait()
	return nil
}

func (r *Runner) loops() []*loop {
	loops := []*loop{
		{name: "deadlines", every: deadlinesEvery, rest: r.deadlines, batch: min(r.rate, deadlinesBatch), rate: r.rate, act: r.actOnDeadlines},
		{name: "suspended sagas", every: wakeEvery, batch: 1, rate: 1000, act: func(ctx context.Context, _ int) (int, error) {
			return r.store.WakeSuspended(ctx)
		}},
		{name: "suspended definitions", every: followEvery, batch: 1, rate: 1000, act: func(ctx context.Context, _ int) (int, error) {
			return 0, r.followSuspensions(ctx)
		}},
	}
	if r.retention > 0 {
		loops = append(loops, &loop{name: "retention", every: expireEvery, batch: expireBatch, rate: expireRate, act: func(ctx context.Context, limit int) (int, error) {
			return r.store.Expire(ctx, r.store.Now().Add(-r.retention), limit)
		}})
	}
	if r.observer.Open != nil {
		loops = append(loops, &loop{name: "gauges", every: gaugeEvery, batch: 1, rate: 1, act: r.count})
	}
	for _, l := range loops {
		l.log = r.log
	}
	return loops
}

// count counts the open sagas for the observer.
func (r *Runner) count(ctx context.Context, _ int) (int, error) {
	open, err := r.store.Open(ctx, r.store.Now())
	if err == nil {
		r.observer.Open(open)
	}
	return 0, err
}

// positions is how far the consumer has read, in whichever process.
func (r *Runner) positions(ctx context.Context) (map[inbox.Partition]int64, error) {
	return r.store.Positions(ctx, r.inbox.Consumer)
}
