package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"waybill.example/outbox-relay/internal/cursor"
	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// loop is the leader loop: the state of one term of leadership of one database. One goroutine, that
// of run, writes and reads all of it; others hand it what they have through the channels that are
// named as such.
type loop struct {
	*Source
	meters
	session *source.Session // writes as part of this term only
	prober  *publish.Prober // asks about topics and single rows; its answers are a channel

	// What rows are sent with: see profile.go for which producer, and lifecycle.go for what becomes
	// of it.
	producer      *publish.Producer // nil between two lives
	inUse         publish.Profile   // of producer
	profile       profile           // the one that is wanted; it is changed over to with nothing in flight
	idleProducers map[publish.Profile]idleProducer
	exclusive     time.Time // until then the database shares no producer
	life          life
	broken        error          // why the producer has ended; nil while it has not
	refusedRows   bool           // a row was at fault
	parking       bool           // it was ended to get rows back, for no fault
	batchBytes    int            // what requests are made smaller to, if some were refused for their size; else 0
	closers       sync.WaitGroup // clients that are being closed beside the loop
	ended         chan struct{}  // closed at the end of the term, for those who forward events to the loop

	// What the database knows of rows, and is to know: see gaps.go.
	handled *cursor.Set     // ids that need not be read again: published, in flight, quarantined or given up
	step    source.Step     // what has been done since the cursor was last moved
	gaps    gaps            // which ids below the end of handled may be given up
	witness *source.Witness // the latest row that was published; nil if this term has published none

	// What is in flight, between read and completed: see flow.go and dispatch.go.
	batches     []*source.Batch           // with incomplete rows, in the order in which they were read
	freeBatches []*source.Batch           // for their memory
	flows       *flows                    // the rows by topic
	rows        int                       // incomplete, whether sent or not
	sent        int                       // of them, with the producer
	bytes       int                       // of batches and of bodies that were loaded
	isolators   []*isolator               // of refused requests: see isolate.go
	isolated    chan isolated             // events of their producers
	alone       map[*source.Row]*isolator // rows that the prober is asked about for an isolator

	// What is quarantined: see quarantine.go, stuck.go and retry.go.
	quarantine *quarantine
	waiting    map[string]*waiting  // topics whose broker takes no rows
	anyStuck   bool                 // the database may have quarantined rows
	probing    map[int64]source.Due // rows that the prober is asked about
	notBefore  map[int64]time.Time  // rows whose probes had no answer, and when to ask again
	retried    time.Time            // when due rows were last looked for; zero: look at once
	compared   time.Time            // when lanes were last compared with the database
	swept      time.Time            // when rows of closed gaps were last looked for
	lateFrom   int64                // where that goes on
	lastLogged time.Time            // when a stuck row was last logged

	// What is known of the brokers: see broker.go.
	answering  bool      // one has answered since the client last complained
	down       bool      // the client complains
	back       time.Time // when one answered after none had
	stalled    bool      // rows have been in flight for more than a second
	watched    time.Time // when that was last looked at
	lastProbed time.Time // when it was last asked whether a broker answers
	now        time.Time // when answers were last taken; near enough for each of them

	// When to read next: see wakeup.go and read.go.
	wakeup    wakeup
	paused    bool // by an operator
	streaming bool // a read is under way, and the session can do nothing else
	found     int  // how many rows the last read found

	// When the database was last written to and asked.
	moves       moves     // of the cursor: see advance.go
	accountedAt time.Time // when completed rows of incomplete batches were last accounted for
	checked     time.Time // when the term, pausing and replays were last asked about
	verified    time.Time // when the cursor was last compared with the id sequence

	replays chan struct{} // has one element while there are replays to work on; maintenance takes it
}

func newLoop(s *Source, session *source.Session, prober *publish.Prober, progress source.Progress) *loop {
	now := time.Now()
	l := &loop{
		Source: s, meters: s.metrics.of(s.name),
		session: session, prober: prober,
		idleProducers: map[publish.Profile]idleProducer{}, life: life{state: backingOff}, ended: make(chan struct{}), replays: make(chan struct{}, 1),
		flows: newFlows(s.options.Topics), isolated: make(chan isolated, 1000), alone: map[*source.Row]*isolator{},
		handled: progress.Published, paused: progress.Paused,
		quarantine: newQuarantine(progress.Stuck, progress.Orphaned), waiting: map[string]*waiting{},
		anyStuck: len(progress.Stuck) > 0 || len(progress.Orphaned) > 0,
		probing:  map[int64]source.Due{}, notBefore: map[int64]time.Time{},
		wakeup: wakeup{pause: s.options.PollMin, lastFound: now}, checked: now, verified: now, compared: now,
	}
	if l.paused {
		l.status.set(Paused, nil)
	}
	return l
}

func (l *loop) close() {
	l.charge(-l.bytes)
	close(l.ended)
	for _, iso := range l.isolators {
		l.closeIsolated(iso)
	}
	if l.producer != nil {
		l.closing(l.producer.Close)
	}
	for p := range l.idleProducers {
		l.drop(p)
	}
	l.closers.Wait()
}

// A round without a wait takes milliseconds; a database that takes this long is considered dead.
const roundTimeout = 30 * time.Second

// run goes around until ctx ends, and then completes what is in flight, or until the database fails
// or another relay has taken over.
func (l *loop) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := l.round(ctx); err != nil {
			return err
		}
		if err := l.wait(ctx); err != nil {
			return err
		}
	}
	return l.drain(ctx)
}

// round is detached from the end of ctx, which would break the session in the middle of a
// statement; the loop stops between rounds.
func (l *loop) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundTimeout)
	defer cancel()
	l.takeAnswers()
	l.watch()
	if err := l.tend(); err != nil {
		return err
	}
	if err := l.stepIsolators(ctx); err != nil {
		return err
	}
	if err := l.dispatch(ctx); err != nil {
		return err
	}
	l.collect()
	if l.untilDue() <= 0 {
		if err := l.advance(ctx); err != nil {
			return err
		}
	}
	if err := l.retry(ctx); err != nil {
		return err
	}
	if err := l.sweep(ctx); err != nil {
		return err
	}
	if err := l.watchGaps(ctx); err != nil {
		return err
	}
	if err := l.read(ctx); err != nil {
		return err
	}
	return l.check(ctx)
}

// check makes sure from time to time that the lead is still ours, that nobody has paused the
// source, and that the table has not been truncated under the cursor. It is also what shows a
// standby that this process is not frozen. A cursor that moves says as much about the lead, and
// nothing about replays and the table, so a busy source is checked as often as a quiet one.
func (l *loop) check(ctx context.Context) error {
	now := time.Now()
	if !l.session.Asked() && now.Sub(l.checked) < l.checkEvery(now) {
		return nil
	}
	paused, replays, err := l.session.CheckTerm(ctx)
	if err != nil {
		return err
	}
	l.checked = now
	l.confirmed(paused)
	if replays {
		wake(l.replays)
	}
	if now.Sub(l.verified) < verifyEvery {
		return nil
	}
	l.verified = now
	return l.session.Verify(ctx, l.handled, l.witness)
}

const verifyEvery = 5 * time.Second

// checkEvery is how often the lead is checked. A relay that sleeps is notified of what operators
// ask for, and shows by its looks for rows that it is not frozen.
func (l *loop) checkEvery(now time.Time) time.Duration {
	if l.wakeup.quiet(now) && !l.paused {
		return 4 * l.options.Fallback
	}
	return l.options.Fallback
}

func (l *loop) confirmed(paused bool) {
	if l.paused == paused {
		return
	}
	l.paused = paused
	if paused {
		l.log.Info("paused")
		l.status.set(Paused, nil)
	} else {
		l.log.Info("resumed")
		l.status.set(Leading, nil)
		l.renew()
	}
}

// drain waits for the rows in flight and makes durable what is completed, so that the next leader
// does not send it again.
func (l *loop) drain(ctx context.Context) error {
	timeout := time.NewTimer(l.options.Drain)
	defer timeout.Stop()
	for l.sent > 0 && l.alive() {
		select {
		case event := <-l.events():
			l.answered(event)
		case <-timeout.C:
			l.log.WarnContext(ctx, "stopping with rows in flight; they will be sent again", "rows", l.sent)
			l.fail(errors.New("stopped"))
		}
	}
	for _, b := range l.batches {
		if b.Incomplete > 0 {
			l.account(b)
		}
	}
	// Detached: ctx has ended, and this write saves everybody duplicates.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := l.advance(last); err != nil {
		return err
	}
	return l.session.Verify(last, l.handled, l.witness)
}
