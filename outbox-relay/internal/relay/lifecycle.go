package relay

import (
	"errors"
	"time"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// lifeState is how the producer is doing. It ends at the first row that a broker refuses; see
// package publish.
//
//	RUNNING ──a row is refused, or it fails──▶ ENDING ──all answered, or 1 s──▶ BACKOFF ──the pause is over──▶ RUNNING
type lifeState uint8

const (
	running lifeState = iota
	ending
	backingOff
)

// life is the pure part of the producer's: when to give up on answers, and when to start the next
// one.
type life struct {
	state    lifeState
	until    time.Time // the end of ENDING or BACKOFF
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

// backOff begins the pause before the next start. A row that was refused needs none: it will not be
// refused again. Else the pause doubles, whatever was acknowledged in between: only a life of some
// length shows that the trouble is over.
func (l *life) backOff(now time.Time, refused bool) {
	pause := time.Duration(0)
	switch {
	case refused:
	case now.Sub(l.began) >= shortLife:
		l.failures = 1
	default:
		l.failures++
		pause = min(firstPause<<min(l.failures, 10), longestPause)
	}
	l.state, l.until = backingOff, now.Add(pause)
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
func (l *loop) fail(err error) {
	if l.broken == nil {
		l.broken = err
	}
}

func (l *loop) alive() bool { return l.life.state == running && l.broken == nil }

// tend brings the producer from one life to the next.
func (l *loop) tend() error {
	now := time.Now()
	if l.life.state == running && l.broken != nil {
		if l.broken != errRenew { //nolint:errorlint // it is passed around as it is
			l.log.Warn("the Kafka producer has ended; starting another", "error", l.broken, "rows_to_send_again", l.sent)
		}
		l.restarts.Inc()
		l.producer.Purge()
		l.life.end(now)
	}
	if l.life.state == ending && (l.sent == 0 || now.After(l.life.until)) {
		_, refused := errors.AsType[*publish.PermanentError](l.broken)
		refused = refused || l.refusedRows || l.parking
		shared := l.producer.Shared()
		if refused {
			l.exclusive = now.Add(exclusiveFor)
		}
		l.closing(l.producer.Close)
		l.producer = nil
		l.life.backOff(now, refused)
		l.requeue(shared)
		if l.life.looping() {
			l.answering = false
			l.broker.Set(0)
			l.status.broker(errors.Join(ErrProducerEnds, l.broken))
		}
		l.broken, l.refusedRows, l.parking = nil, false, false
	}
	if l.life.state != backingOff || now.Before(l.life.until) {
		return nil
	}
	var err error
	if l.producer, err = l.open(l.inUse); err != nil {
		return err
	}
	l.life.begin(now)
	return nil
}

// ErrProducerEnds is the BrokerErr of a source whose producers end again and again, for no row's
// sake.
var ErrProducerEnds = errors.New("the Kafka producer ends again and again")

var errRenew = errors.New("producers look at the topics afresh")

// closing closes a client beside the loop: it takes some hundred milliseconds.
func (l *loop) closing(end func()) { l.closers.Go(end) }

// How often a request may fail in a way that is in no list before its rows are looked at one by
// one.
const maxFailures = 3

// requeue makes every row that was not answered wait again, in the order in which the rows were
// read, which is the order in which they became visible. The rows of a request that was refused go
// to an isolator. A single one is the bad one, unless the request may have had rows of other
// databases too.
func (l *loop) requeue(shared bool) {
	l.sent = 0
	for _, f := range l.flows.byTopic {
		f.sent, f.queue = 0, f.queue[:0]
		f.gate.renew()
	}
	suspects := map[*flow][]*source.Row{}
	for _, b := range l.batches {
		for _, row := range b.Rows {
			if row.State != source.Waiting && row.State != source.Sent {
				continue
			}
			row.State = source.Waiting
			f := l.flows.of(row.Topic)
			l.flows.enqueue(f, row)
			if refusal, ok := errors.AsType[*publish.PermanentError](row.Err); ok && !refusal.WholeTopic {
				suspects[f] = append(suspects[f], row)
			}
		}
	}
	for f, rows := range suspects {
		if len(rows) > 1 || shared {
			l.isolate(f, rows)
		}
	}
}

// judge notes why a row was not acknowledged.
func (l *loop) judge(row *source.Row, err error) {
	if refusal, ok := errors.AsType[*publish.PermanentError](err); ok {
		row.Err = refusal
		l.refusedRows = true
		return
	}
	rejection := publish.PermanentByRepetition(row.Topic, err)
	if rejection == nil {
		return
	}
	row.Failures++
	if row.Failures >= maxFailures {
		row.Err = rejection
		l.refusedRows = true
	}
}
