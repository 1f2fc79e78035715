package relay

import (
	"errors"
	"time"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// lifeState is how the producer is doing. It ends at the first row that a broker refuses; see package publish.
//
//	RUNNING ──a row is refused, or it fails──▶ ENDING ──all answered, or 1 s──▶ RESTING ──the pause is over──▶ RUNNING
type lifeState uint8

const (
	running lifeState = iota
	ending
	resting
)

// life is the pure part of the producer's: when to give up on answers, and when to start the next one.
type life struct {
	state    lifeState
	until    time.Time // the end of ENDING or RESTING
	began    time.Time // the last start
	failures int       // lives in a row that were short and ended for no row's sake
}

const (
	endingTime   = time.Second
	shortLife    = 10 * time.Second
	firstPause   = 20 * time.Millisecond
	longestPause = 2 * time.Second
)

func (l *life) end(now time.Time) { l.state, l.until = ending, now.Add(endingTime) }

// rest begins the pause before the next start. A row that was refused needs none: it will not be refused again. Else the
// pause doubles, whatever was acknowledged in between: only a life of some length shows that the trouble is over.
func (l *life) rest(now time.Time, refused bool) {
	pause := time.Duration(0)
	switch {
	case refused:
	case now.Sub(l.began) >= shortLife:
		l.failures = 1
	default:
		l.failures++
		pause = min(firstPause<<min(l.failures, 10), longestPause)
	}
	l.state, l.until = resting, now.Add(pause)
}

func (l *life) begin(now time.Time) { l.state, l.began = running, now }

// last notes that a life lasts: what came before is over.
func (l *life) last(now time.Time) {
	if l.state == running && now.Sub(l.began) >= shortLife {
		l.failures = 0
	}
}

// looping says whether producers end again and again.
func (l *life) looping() bool { return l.failures >= 3 }

// fail notes that the producer has ended.
func (t *term) fail(err error) {
	if t.broken == nil {
		t.broken = err
	}
}

func (t *term) alive() bool { return t.life.state == running && t.broken == nil }

// tend brings the producer from one life to the next.
func (t *term) tend() error {
	now := time.Now()
	if t.life.state == running && t.broken != nil {
		if t.broken != errRenew { //nolint:errorlint // it is passed around as it is
			t.log.Warn("the Kafka producer has ended; starting another", "error", t.broken, "rows_to_send_again", t.sent)
		}
		t.restarts.Inc()
		t.producer.Purge()
		t.life.end(now)
	}
	if t.life.state == ending && (t.sent == 0 || now.After(t.life.until)) {
		_, refused := errors.AsType[*publish.Refusal](t.broken)
		refused = refused || t.refusedRows || t.parking
		shared := t.producer.Shared()
		if refused {
			t.exclusive = now.Add(exclusiveFor)
		}
		t.closing(t.producer.Close)
		t.producer = nil
		t.life.rest(now, refused)
		t.requeue(shared)
		if t.life.looping() {
			t.answering = false
			t.broker.Set(0)
			t.status.broker(errors.Join(ErrProducerEnds, t.broken))
		}
		t.broken, t.refusedRows, t.parking = nil, false, false
	}
	if t.life.state != resting || now.Before(t.life.until) {
		return nil
	}
	var err error
	if t.producer, err = t.open(t.inUse); err != nil {
		return err
	}
	t.life.begin(now)
	return nil
}

// ErrProducerEnds is the BrokerErr of a source whose producers end again and again, for no row's sake.
var ErrProducerEnds = errors.New("the Kafka producer ends again and again")

var errRenew = errors.New("producers look at the topics afresh")

// closing closes a client beside the loop: it takes some hundred milliseconds.
func (t *term) closing(end func()) { t.ends.Go(end) }

// How often a request may fail in a way that is in no list before its rows are looked at one by one.
const maxFailures = 3

// requeue makes every row that was not answered wait again, in the order in which the rows were read, which is the order
// in which they became visible. The rows of a request that was refused go to an isolator. A single one is at fault, unless
// the request may have had rows of other databases too.
func (t *term) requeue(shared bool) {
	t.sent = 0
	for _, f := range t.flows.byTopic {
		f.sent, f.queue = 0, f.queue[:0]
		f.gate.renew()
	}
	suspects := map[*flow][]*source.Row{}
	for _, b := range t.batches {
		for _, row := range b.Rows {
			if row.State != source.Waiting && row.State != source.Sent {
				continue
			}
			row.State = source.Waiting
			f := t.flows.of(row.Topic)
			t.flows.enqueue(f, row)
			if refusal, ok := errors.AsType[*publish.Refusal](row.Refusal); ok && !refusal.WholeTopic {
				suspects[f] = append(suspects[f], row)
			}
		}
	}
	for f, rows := range suspects {
		if len(rows) > 1 || shared {
			t.isolate(f, rows)
		}
	}
}

// judge notes why a row was not acknowledged.
func (t *term) judge(row *source.Row, err error) {
	if refusal, ok := errors.AsType[*publish.Refusal](err); ok {
		row.Refusal = refusal
		t.refusedRows = true
		return
	}
	rejection := publish.Rejection(row.Topic, err)
	if rejection == nil {
		return
	}
	row.Failures++
	if row.Failures >= maxFailures {
		row.Refusal = rejection
		t.refusedRows = true
	}
}
