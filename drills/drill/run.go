package drill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
	"waybill.example/drills/load"
)

// Options say how to run a drill.
type Options struct {
	// Workspace is Waybill's source tree, Dir where the drill's stack and ledger are kept. What an
	// earlier drill left there is removed.
	Workspace, Dir string
	Rate           float64       // orders a second
	For            time.Duration // how long the fault lasts; 0 is the drill's own
	Seed           uint64
	KafkaNodes     int  // of an Apache Kafka in place of the embedded broker; 0 keeps that
	Compose        bool // the containers of compose.yaml in place of the devstack's processes
	// Show is passed what happens, for a live view; it may be nil.
	Show func(Progress)
}

// Phase is a part of a drill.
type Phase string

// The phases, in their order.
const (
	Starting   Phase = "starting the stack"
	Warming    Phase = "placing orders"
	Breaking   Phase = "breaking it"
	Recovering Phase = "recovering"
	Auditing   Phase = "auditing"
)

// Progress is what a live view shows.
type Progress struct {
	Phase  Phase
	Since  time.Time     // when the phase began
	Length time.Duration // how long it takes at most
	Sample Sample
	Faults []Fault
}

const (
	warmUp = 4 * time.Second
	// coolDown is how long the load goes on after recovery, to see that all is well again.
	coolDown = 2 * time.Second
	// waitTimeout bounds the wait for recovery beyond what the drill promises: by how much it is
	// late is worth knowing, too.
	waitTimeout = 45 * time.Second
)

// The clients of a drill send every request that failed again with its key, and one in fifty that
// did not: the audit counts the orders of each.
const (
	retryFor    = 90 * time.Second
	repeatEvery = 50
)

// mix is what the drills order: mostly what is there, and some that must be rejected.
var mix = load.Mix{
	{Weight: 84, SKU: "burger", Quantity: 1},
	{Weight: 5, SKU: "pizza", Quantity: 1},   // a stack has three
	{Weight: 5, SKU: "unicorn", Quantity: 1}, // unknown
	{Weight: 4, Items: []contracts.Line{{SKU: "cola", Quantity: 1}, {SKU: "burger", Quantity: 2}}},
	{Weight: 2, Items: []contracts.Line{{SKU: "burger", Quantity: 1}, {SKU: "pizza", Quantity: 1}, {SKU: "unicorn", Quantity: 1}}},
}

// Run runs a drill on a stack of its own. An error means that the drill could not be run; what it
// found is in the outcome.
func Run(ctx context.Context, d Drill, o Options) (_ *Outcome, err error) {
	if why := d.Unfit(o.KafkaNodes, o.Compose); why != "" {
		return nil, fmt.Errorf("%s cannot be run so: %s", d.Name, why)
	}
	if o.For == 0 {
		o.For = d.For
	}
	if d.MostRate > 0 {
		o.Rate = min(o.Rate, d.MostRate)
	}
	r := &runner{drill: d, options: o, out: &Outcome{Drill: d, Rate: o.Rate, Began: time.Now()}}
	r.enter(Starting, 10*time.Second)
	s, err := r.setUp(ctx)
	if s != nil {
		defer func() {
			err = errors.Join(err, s.tearDown(context.WithoutCancel(ctx)))
		}()
	}
	if err != nil {
		return nil, err
	}
	r.environment = s
	if d.Prepare != nil {
		if err := d.Prepare(ctx, s); err != nil {
			return nil, fmt.Errorf("prepare %s: %w", d.Name, err)
		}
	}
	if err := r.underLoad(ctx); err != nil {
		return nil, err
	}
	if err := r.conclude(ctx); err != nil {
		return nil, err
	}
	return r.out, nil
}

// runner is one run of one drill.
type runner struct {
	drill       Drill
	options     Options
	out         *Outcome
	environment *Environment

	mu       sync.Mutex
	progress Progress
}

func (r *runner) enter(p Phase, length time.Duration) {
	r.show(func(now *Progress) { now.Phase, now.Since, now.Length = p, time.Now(), length })
}

func (r *runner) show(change func(*Progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.progress)
	if r.environment != nil {
		r.progress.Faults = r.environment.Faults()
	}
	if r.options.Show != nil {
		r.options.Show(r.progress)
	}
}

// underLoad places orders while the drill breaks things and the system recovers.
func (r *runner) underLoad(ctx context.Context) error {
	s := r.environment
	ledger, err := load.CreateLedger(s.ledgerPath())
	if err != nil {
		return err
	}
	generator, err := load.New(load.Config{
		URLs: s.urls, Rate: r.options.Rate, Run: s.run, Mix: mix, Seed: r.options.Seed, Ledger: ledger,
		RetryFor: retryFor, RepeatEvery: repeatEvery,
	})
	if err != nil {
		return errors.Join(err, ledger.Close())
	}
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	sampling, stopSampling := context.WithCancel(ctx)
	defer stopSampling()
	var running sync.WaitGroup
	running.Go(func() { r.out.Totals = generator.Run(loading) })
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		r.out.Samples = s.sample(sampling, generator.Totals, func(now Sample) {
			r.show(func(p *Progress) { p.Sample = now })
		})
	}()

	err = r.breakAndRecover(ctx)
	stopLoad()
	running.Wait()
	if err == nil {
		err = r.awaitQuiescence(ctx)
	}
	stopSampling()
	<-sampled
	return errors.Join(err, ledger.Close())
}

func (r *runner) breakAndRecover(ctx context.Context) error {
	s := r.environment
	r.enter(Warming, warmUp)
	if err := s.Wait(ctx, warmUp); err != nil {
		return err
	}
	r.enter(Breaking, r.options.For)
	if err := r.drill.Break(ctx, s, r.options.For); err != nil {
		return fmt.Errorf("%s: %w", r.drill.Name, err)
	}
	repaired := time.Now()
	r.enter(Recovering, r.drill.within())
	if err := r.recover(ctx, repaired); err != nil {
		return err
	}
	return s.Wait(ctx, coolDown)
}

// recover waits until every order that was taken before the end of the fault has ended.
func (r *runner) recover(ctx context.Context, repaired time.Time) error {
	s := r.environment
	err := s.Until(ctx, r.drill.within()+waitTimeout, "every order has ended", func(ctx context.Context) (bool, error) {
		return s.sum(ctx, stack.Orders, pendingSQL+` and created_at <= $1`, repaired) == 0, nil
	})
	r.out.Recovery = time.Since(repaired)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		r.out.Recovery = unknown
	}
	return nil
}

// awaitQuiescence waits until nothing moves any more. What does not come to rest is for the audit
// to name.
func (r *runner) awaitQuiescence(ctx context.Context) error {
	s := r.environment
	const openSQL = `select count(*) from sagas where deadline is not null and deadline < 'infinity'`
	err := s.Until(ctx, r.drill.within()+waitTimeout, "nothing moves", func(ctx context.Context) (bool, error) {
		if s.sum(ctx, stack.Orders, pendingSQL) != 0 || s.sum(ctx, stack.Orchestrator, openSQL) != 0 {
			return false, nil
		}
		for _, pool := range s.databases() {
			if s.count(ctx, pool, waitingSQL) != 0 {
				return false, nil
			}
		}
		return true, nil
	})
	if ctx.Err() != nil {
		return err
	}
	return nil
}

// conclude audits and judges.
func (r *runner) conclude(ctx context.Context) error {
	s := r.environment
	r.enter(Auditing, auditOverdue)
	if r.drill.Repaired {
		if err := r.repair(ctx); err != nil {
			return fmt.Errorf("follow the audit's plan: %w", err)
		}
	}
	if err := r.audit(ctx); err != nil {
		return err
	}
	for e, err := range load.ReadLedger(s.ledgerPath()) {
		if err != nil {
			return err
		}
		if e.First() {
			r.out.Requests = append(r.out.Requests, e)
		}
	}
	if err := r.countOrders(ctx); err != nil {
		return err
	}
	r.out.Faults, r.out.Measured, r.out.Failures = s.Faults(), s.measured, s.failures
	r.out.Ended = time.Now()
	r.out.judge()
	return nil
}

func (r *runner) countOrders(ctx context.Context) error {
	const ofStatusSQL = `select count(*) from orders where status = $1`
	for status, count := range map[string]*int64{"CONFIRMED": &r.out.Confirmed, "CANCELLED": &r.out.Cancelled, "PENDING": &r.out.Pending} {
		if *count = r.environment.sum(ctx, stack.Orders, ofStatusSQL, status); *count == unknown {
			return errors.New("the orders could not be counted")
		}
	}
	return nil
}
