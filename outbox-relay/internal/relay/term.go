package relay

import (
	"context"
	"fmt"
	"time"

	"waybill/outbox-relay/internal/cursor"
	"waybill/outbox-relay/internal/publish"
	"waybill/outbox-relay/internal/source"
)

// term is one leadership of one database, and the state of its loop. It belongs to one goroutine.
type term struct {
	*Source
	meters
	session  *source.Session
	producer *publish.Producer
	pace     publish.Pace
	wanted   publish.Pace                       // pace becomes this when nothing is in flight
	resting  map[publish.Pace]*publish.Producer // of the other paces, if they were ever wanted
	full     int                                // reads in a row that found as many rows as they could
	prober   *publish.Prober                    // opened when the first row is refused

	witness *source.Witness // the latest row that was published, nil if this term has published none

	taken *cursor.Set // published, in flight, set aside or given up
	step  source.Step // what the database does not know yet
	gaps  gaps

	batches []*source.Batch // with unsettled rows, in the order in which they were read
	spare   []*source.Batch
	queue   []*source.Row // read and not yet sent, in order; all of batches' rows that wait
	rows    int           // unsettled, whether sent or not
	sent    int
	bytes   int

	anyStuck  bool
	stuckKeys map[string]struct{} // later rows of theirs are parked
	releasing map[string]struct{} // of these, the keys whose parked rows may go
	refused   map[string]refusedTopic
	retried   time.Time
	swept     time.Time
	lateFrom  int64 // where the sweep goes on among what was given up long ago
	broken    error // the producer has ended
	restarts  int   // in a row without an acknowledgement between
	streaming bool  // a read is under way: the session can do nothing else
	answering bool  // a broker has answered since the client last complained
	asked     time.Time
	told      time.Time
	now       time.Time // when answers were last taken

	paused   bool
	sleeping bool
	wokeUp   time.Time // the last time
	pause    time.Duration
	busy     bool // the last read found rows
	inARow   int  // reads that found some, without a lull between them
	foundAt  time.Time
	nextRead time.Time
	advanced time.Time
	costs    time.Duration // what moving the cursor took the last time
	lastRow  time.Time
	checked  time.Time // when the lead was last known to be ours
	verified time.Time // when the cursor was last held against the id sequence
}

func newTerm(s *Source, session *source.Session, producer *publish.Producer, progress source.Progress) *term {
	now := time.Now()
	t := &term{
		Source: s, meters: s.metrics.of(s.name),
		session: session, producer: producer, pace: publish.Prompt, wanted: publish.Prompt,
		resting: map[publish.Pace]*publish.Producer{},
		taken:   progress.Published, paused: progress.Paused,
		stuckKeys: make(map[string]struct{}, len(progress.StuckKeys)),
		anyStuck:  progress.AnyStuck || len(progress.StuckKeys) > 0,
		releasing: map[string]struct{}{},
		refused:   map[string]refusedTopic{},
		pause:     s.options.PollMin, lastRow: now, checked: now, verified: now,
	}
	for _, key := range progress.StuckKeys {
		t.stuckKeys[key] = struct{}{}
	}
	return t
}

func (t *term) close() {
	t.producer.Close()
	for _, p := range t.resting {
		p.Close()
	}
	if t.prober != nil {
		t.prober.Close()
	}
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
	if t.broken != nil {
		if err := t.restart(ctx); err != nil {
			return err
		}
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
const advanceEvery = 50 * time.Millisecond

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
	case t.step.Plain():
		return time.Until(t.advanced.Add(advancePause(t.costs)))
	default:
		return 0
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

// collect takes the batches whose last row is settled out of the flight.
func (t *term) collect() {
	kept := t.batches[:0]
	for _, b := range t.batches {
		if b.Unsettled > 0 {
			kept = append(kept, b)
			continue
		}
		t.account(b)
		t.bytes -= b.Bytes
		t.recycle(b)
	}
	clear(t.batches[len(kept):])
	t.batches = kept
}

// witness returns the last row of a batch that was published, or the one before it.
func witness(b *source.Batch, before *source.Witness) *source.Witness {
	for i := len(b.Rows) - 1; i >= 0; i-- {
		if row := &b.Rows[i]; row.State == source.Settled && !row.Aside {
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
	for i := range b.Rows {
		row := &b.Rows[i]
		switch {
		case row.State != source.Settled:
		case b.Origin == source.New:
			t.step.Settled.AddID(row.ID)
		case b.Origin == source.Late:
			t.step.Late.AddID(row.ID)
		case !row.Aside:
			t.step.Released = append(t.step.Released, row.ID)
		}
	}
}

// check makes sure from time to time that the lead is still ours, that nobody has paused the source, and that the
// table has not been truncated under the cursor. It is also what shows a standby that this process is not frozen.
func (t *term) check(ctx context.Context) error {
	now := time.Now()
	if now.Sub(t.checked) < t.options.Fallback {
		return nil
	}
	paused, err := t.session.CheckTerm(ctx)
	if err != nil {
		return err
	}
	t.confirmed(paused)
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
	}
}

// drain waits for the rows in flight and makes durable what is settled, so that the next leader does not send it
// again.
func (t *term) drain(ctx context.Context) error {
	timeout := time.NewTimer(t.options.Drain)
	defer timeout.Stop()
	for t.sent > 0 && t.broken == nil {
		select {
		case event := <-t.producer.Events():
			t.answered(event)
		case <-timeout.C:
			t.log.Warn("stopping with rows in flight; they will be sent again", "rows", t.sent)
			t.broken = fmt.Errorf("stopped")
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
