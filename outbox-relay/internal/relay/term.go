package relay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"waybill.example/outbox-relay/internal/cursor"
	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// term is one leadership of one database, and the state of its loop. It belongs to one goroutine.
type term struct {
	*Source
	meters
	session *source.Session
	prober  *publish.Prober // asks about topics and single rows, without making the loop wait

	// The producer, and what becomes of it: see life.go and profile.go.
	producer      *publish.Producer // nil between two lives
	life          life
	broken        error // why the producer has ended
	refusedRows   bool  // some rows are at fault
	parking       bool  // it ended only to give back rows
	batchBytes    int   // smaller requests than by default, if those were refused for their size
	profile       profile
	inUse         publish.Profile                  // the producer's; it becomes the one wanted when nothing is in flight
	idleProducers map[publish.Profile]idleProducer // of the other profiles
	exclusive     time.Time                        // until then the database shares no producer
	ends          sync.WaitGroup                   // clients that are being closed
	ended         chan struct{}                    // closed at the end of the term

	replays chan struct{} // says that there are replays to work on

	witness *source.Witness // the latest row that was published, nil if this term has published none

	taken *cursor.Set // published, in flight, set aside or given up
	step  source.Step // what the database does not know yet
	gaps  gaps

	// What is in flight: see flow.go and dispatch.go.
	batches   []*source.Batch // with unsettled rows, in the order in which they were read
	spare     []*source.Batch
	flows     *flows
	rows      int // unsettled, whether sent or not
	sent      int // in the producer
	bytes     int // of batches and loaded bodies
	isolators []*isolator
	isolated  chan isolated
	alone     map[*source.Row]*isolator // rows that the prober is asked about for an isolator

	// What is set aside: see quarantine.go and retry.go.
	quarantine *quarantine
	waiting    map[string]*waiting // of the quarantine's topics that wait
	anyStuck   bool
	probing    map[int64]source.Due // rows whose probes are under way
	notBefore  map[int64]time.Time  // rows whose probes had no answer
	retried    time.Time
	compared   time.Time // when lanes were last held against the database
	swept      time.Time
	lateFrom   int64 // where the sweep goes on among what was given up long ago

	streaming bool // a read is under way: the session can do nothing else
	answering bool // a broker has answered since the client last complained
	down      bool // the client complains
	stalled   bool // rows have been in flight for more than a second
	watched   time.Time
	asked     time.Time
	told      time.Time
	now       time.Time // when answers were last taken

	paused   bool
	sleeping bool
	wokeUp   time.Time // the last time
	pause    time.Duration
	busy     bool // the last read found rows
	found    int  // how many
	inARow   int  // reads that found some, without a lull between them
	foundAt  time.Time
	nextRead time.Time
	advanced time.Time
	costs    time.Duration // what moving the cursor took the last time
	partly   time.Time     // when the settled rows of old batches were last accounted for
	lastRow  time.Time
	checked  time.Time // when the lead was last known to be ours
	verified time.Time // when the cursor was last held against the id sequence
}

func newTerm(s *Source, session *source.Session, prober *publish.Prober, progress source.Progress) *term {
	now := time.Now()
	t := &term{
		Source: s, meters: s.metrics.of(s.name),
		session: session, prober: prober,
		idleProducers: map[publish.Profile]idleProducer{}, life: life{state: resting}, ended: make(chan struct{}), replays: make(chan struct{}, 1),
		flows: newFlows(s.options.Topics), isolated: make(chan isolated, 1000), alone: map[*source.Row]*isolator{},
		taken: progress.Published, paused: progress.Paused,
		quarantine: newQuarantine(progress.Stuck, progress.Orphaned), waiting: map[string]*waiting{},
		anyStuck: len(progress.Stuck) > 0 || len(progress.Orphaned) > 0,
		probing:  map[int64]source.Due{}, notBefore: map[int64]time.Time{},
		pause: s.options.PollMin, lastRow: now, checked: now, verified: now, compared: now,
	}
	if t.paused {
		t.status.set(Paused, nil)
	}
	return t
}

func (t *term) close() {
	t.charge(-t.bytes)
	close(t.ended)
	for _, iso := range t.isolators {
		t.closeIsolated(iso)
	}
	if t.producer != nil {
		t.closing(t.producer.Close)
	}
	for p := range t.idleProducers {
		t.drop(p)
	}
	t.ends.Wait()
}

// A round without a wait takes milliseconds; a database that takes this long is taken for gone.
const roundTimeout = 30 * time.Second

// run goes around until ctx ends, and then settles what is in flight, or until the database fails or another relay
// has taken over.
func (t *term) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := t.round(ctx); err != nil {
			return err
		}
		if err := t.wait(ctx); err != nil {
			return err
		}
	}
	return t.drain(ctx)
}

// round is detached from the end of ctx, which would break the session in the middle of a statement; the loop stops
// between rounds.
func (t *term) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundTimeout)
	defer cancel()
	t.takeAnswers()
	t.watch()
	if err := t.tend(); err != nil {
		return err
	}
	if err := t.stepIsolators(ctx); err != nil {
		return err
	}
	if err := t.pump(ctx); err != nil {
		return err
	}
	t.collect()
	if t.untilDue() <= 0 {
		if err := t.advance(ctx); err != nil {
			return err
		}
	}
	if err := t.retry(ctx); err != nil {
		return err
	}
	if err := t.sweep(ctx); err != nil {
		return err
	}
	if err := t.watchGaps(ctx); err != nil {
		return err
	}
	if err := t.read(ctx); err != nil {
		return err
	}
	return t.check(ctx)
}

// The cursor is moved at most this often while that is all there is to say: what a crash would send again is at most
// what was acknowledged in that time. A row that comes after a lull moves it at once. At a few hundred rows a second
// it saves nine statements of ten.
const (
	advanceEvery = 50 * time.Millisecond
	advanceSoon  = 5 * time.Millisecond // where rows are set aside, of which there may be thousands
)

// advancePause is how long the cursor rests after a move that took so long: it takes a twentieth of the time at most,
// also where it has many gaps, or a long transaction keeps its old versions from being removed.
func advancePause(took time.Duration) time.Duration {
	return min(max(advanceEvery, 20*took), longestAdvance)
}

const longestAdvance = 2 * time.Second

// untilDue is how long it may take until the step is made durable.
func (t *term) untilDue() time.Duration {
	switch {
	case t.step.Empty():
		return t.options.Fallback
	case !t.step.Urgent():
		return time.Until(t.advanced.Add(advancePause(t.costs)))
	default:
		return time.Until(t.advanced.Add(advanceSoon))
	}
}

// advance makes durable what has been settled since the last time.
func (t *term) advance(ctx context.Context) error {
	t.collect()
	if t.step.Empty() {
		return nil
	}
	t.advanced = time.Now()
	paused, err := t.session.Advance(ctx, &t.step)
	if err != nil {
		return err
	}
	t.costs = time.Since(t.advanced)
	t.step.Clear()
	t.confirmed(paused)
	return nil
}

// partlyEvery is how often the settled rows of batches are accounted for that wait for others of theirs.
const partlyEvery = time.Second

// collect takes the batches whose last row is settled out of the flight. Of the others, what is settled goes to the
// cursor now and then, so that a row that waits keeps none of its neighbours from being known as published.
func (t *term) collect() {
	partly := t.now.Sub(t.partly) >= partlyEvery
	if partly {
		t.partly = t.now
	}
	kept := t.batches[:0]
	for _, b := range t.batches {
		if b.Unsettled > 0 {
			if partly && t.now.Sub(b.At) >= partlyEvery {
				t.account(b)
			}
			kept = append(kept, b)
			continue
		}
		t.account(b)
		if b.Origin == source.Released {
			t.retried = time.Time{} // the next page of them
		}
		t.charge(-b.Bytes())
		t.recycle(b)
	}
	clear(t.batches[len(kept):])
	t.batches = kept
}

// witness returns the last row of a batch that was published, or the one before it.
func witness(b *source.Batch, before *source.Witness) *source.Witness {
	for _, row := range slices.Backward(b.Rows) {
		if row.State == source.Settled && !row.Aside {
			return &source.Witness{ID: row.ID, EventID: row.EventID}
		}
	}
	return before
}

// account notes the settled rows of a batch for the next step.
func (t *term) account(b *source.Batch) {
	if b.Origin == source.New {
		t.witness = witness(b, t.witness)
	}
	if b.Origin == source.New && b.Unsettled == 0 {
		t.step.Settled.AddSet(&b.IDs)
		return
	}
	for _, row := range b.Rows {
		if row.State != source.Settled || row.Accounted {
			continue
		}
		row.Accounted = true
		switch {
		case b.Origin == source.New:
			t.step.Settled.AddID(row.ID)
		case b.Origin == source.Late:
			t.step.Late.AddID(row.ID)
		case !row.Aside:
			t.step.Released = append(t.step.Released, row.ID)
		}
	}
}

// charge counts bytes in flight, of this source and of the process.
func (t *term) charge(bytes int) {
	t.bytes += bytes
	t.options.Budget.add(bytes)
}

// fits says whether so many more bytes may be in flight.
func (t *term) fits(bytes int) bool {
	return t.bytes+bytes <= t.options.InFlightBytes && t.options.Budget.fits(bytes)
}

// check makes sure from time to time that the lead is still ours, that nobody has paused the source, and that the
// table has not been truncated under the cursor. It is also what shows a standby that this process is not frozen.
func (t *term) check(ctx context.Context) error {
	now := time.Now()
	if now.Sub(t.checked) < t.options.Fallback {
		return nil
	}
	paused, replays, err := t.session.CheckTerm(ctx)
	if err != nil {
		return err
	}
	t.confirmed(paused)
	if replays {
		wake(t.replays)
	}
	if now.Sub(t.verified) < verifyEvery {
		return nil
	}
	t.verified = now
	return t.session.Verify(ctx, t.taken, t.witness)
}

const verifyEvery = 5 * time.Second

func (t *term) confirmed(paused bool) {
	t.checked = time.Now()
	if t.paused == paused {
		return
	}
	t.paused = paused
	if paused {
		t.log.Info("paused")
		t.status.set(Paused, nil)
	} else {
		t.log.Info("resumed")
		t.status.set(Leading, nil)
		t.renew()
	}
}

// drain waits for the rows in flight and makes durable what is settled, so that the next leader does not send it
// again.
func (t *term) drain(ctx context.Context) error {
	timeout := time.NewTimer(t.options.Drain)
	defer timeout.Stop()
	for t.sent > 0 && t.alive() {
		select {
		case event := <-t.events():
			t.answered(event)
		case <-timeout.C:
			t.log.Warn("stopping with rows in flight; they will be sent again", "rows", t.sent)
			t.fail(errors.New("stopped"))
		}
	}
	for _, b := range t.batches {
		if b.Unsettled > 0 {
			t.account(b)
		}
	}
	// Detached: ctx has ended, and this write saves everybody duplicates.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := t.advance(last); err != nil {
		return err
	}
	return t.session.Verify(last, t.taken, t.witness)
}
