package relay

import (
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/outbox-relay/internal/publish"
)

// profile chooses how long the producer lingers, by what reads find. It is a state machine without
// I/O:
//
//	asleep, and rows are worth a notification each ──▶ LowLatency, in a producer that databases share
//	awake, since there are more                    ──▶ Default
//	three full reads in a row: a backlog           ──▶ Throughput
type profile struct {
	fullReads int // in a row
	wanted    publish.Profile
	since     time.Time // when that began
}

const (
	// How many full reads in a row make a backlog.
	backlogReads = 3
	// How long a relay must not have woken up before it goes back to single rows: to change over
	// waits for what is in flight.
	quietPeriod = time.Second
)

// next takes what a read found of the limit that it had. quiet says that the relay sleeps, and has
// for a while.
func (p *profile) next(found, limit, batchRows int, quiet bool, now time.Time) {
	before := p.wanted
	switch {
	case found == limit:
		p.fullReads++
	case found >= batchRows/4:
		p.fullReads = 0
	case quiet:
		p.fullReads, p.wanted = 0, publish.LowLatency
	case found > 0:
		p.fullReads, p.wanted = 0, publish.Default
	}
	if p.fullReads >= backlogReads {
		p.wanted = publish.Throughput
	}
	if p.wanted != before {
		p.since = now
	}
}

// worthOpening says whether a producer is to be opened for the profile that is wanted: not for a
// burst.
func (p *profile) worthOpening(now time.Time) bool {
	return p.wanted != publish.Default || now.Sub(p.since) >= burst
}

const (
	// How long a database must have been busy to get a producer of its own for it.
	burst = time.Second
	// How long a producer is open before the loop changes over to it: so long librdkafka takes to
	// be of use. The one before it goes on meanwhile.
	warmUp = time.Second
	// How long a producer of the database's own is kept that is not in use.
	keepIdle = time.Minute
	// How long a database has a producer of its own after a row of its was refused, or it has ended
	// a shared one.
	exclusiveFor = time.Hour
)

// idleProducer is one that the loop does not send with now.
type idleProducer struct {
	*publish.Producer
	since time.Time
}

// open opens a producer of a profile: a share in one, where that will do.
func (l *loop) open(p publish.Profile) (*publish.Producer, error) {
	if p == publish.LowLatency && l.shares(time.Now()) {
		return l.options.Clients.Share(l.name)
	}
	return l.openOwn(p)
}

// shares says whether the database may send with a producer that others send with.
func (l *loop) shares(now time.Time) bool { return l.batchBytes == 0 && !now.Before(l.exclusive) }

func (l *loop) openOwn(p publish.Profile) (*publish.Producer, error) {
	return publish.Open(l.kafka, l.name, publish.Settings{Profile: p, BatchBytes: l.batchBytes}, l.log)
}

// prepare opens the producer that is wanted next to the one in use, so that it is ready when the
// loop changes over.
func (l *loop) prepare(now time.Time) error {
	if !l.alive() || !l.outdated(now) {
		return nil
	}
	if next, ok := l.idleProducers[l.profile.wanted]; ok {
		if !next.Retired() {
			return nil
		}
		l.drop(l.profile.wanted)
	}
	if !l.profile.worthOpening(now) && !l.producer.Retired() {
		return nil
	}
	next, err := l.open(l.profile.wanted)
	if err != nil {
		return err
	}
	l.idleProducers[l.profile.wanted] = idleProducer{next, now}
	if !next.Shared() {
		next.Warm(l.flows.recent(now))
	}
	return nil
}

// outdated says whether another producer than the one in use is wanted.
func (l *loop) outdated(now time.Time) bool {
	return l.inUse != l.profile.wanted || l.producer.Retired() ||
		l.profile.wanted == publish.LowLatency && !l.producer.Shared() && l.shares(now)
}

// changing says whether nothing more may be read before the loop has changed over to another
// producer. It does that with nothing in flight: two producers with rows of the same key under way
// would not keep their order.
func (l *loop) changing(now time.Time) bool {
	if !l.outdated(now) {
		return false
	}
	next, ok := l.idleProducers[l.profile.wanted]
	return l.producer.Retired() || ok && now.Sub(next.Opened()) >= warmUp
}

// changeOver takes the producer that is wanted, if it is ready.
func (l *loop) changeOver(now time.Time) error {
	if err := l.prepare(now); err != nil || l.rows > 0 || !l.changing(now) {
		return err
	}
	next := l.idleProducers[l.profile.wanted]
	delete(l.idleProducers, l.profile.wanted)
	forget(next.Events())
	if l.producer.Retired() || l.inUse == l.profile.wanted {
		l.closing(l.producer.Close)
	} else {
		l.idleProducers[l.inUse] = idleProducer{l.producer, now}
	}
	l.producer, l.inUse = next.Producer, l.profile.wanted
	for _, f := range l.flows.byTopic {
		f.gate.renew()
	}
	return nil
}

// closeIdle closes the database's own producers that have not been in use for a while. To keep a
// share costs nothing.
func (l *loop) closeIdle(now time.Time) {
	for p, idle := range l.idleProducers {
		if !idle.Shared() && now.Sub(idle.since) >= keepIdle && p != l.profile.wanted {
			l.drop(p)
		}
	}
}

// drop closes an idle producer.
func (l *loop) drop(p publish.Profile) {
	l.closing(l.idleProducers[p].Close)
	delete(l.idleProducers, p)
}

// renew has producers look at the topics afresh: people pause a source to give a topic more
// partitions, and a key must not go to its old partition and to its new one in turns.
func (l *loop) renew() {
	for p, idle := range l.idleProducers {
		if idle.Shared() {
			idle.Retire()
		}
		l.drop(p)
	}
	switch {
	case l.producer == nil:
	case l.producer.Shared():
		l.producer.Retire()
	default:
		l.parking = true
		l.fail(errRenew)
	}
}

// forget drops what a producer complained of while it was idle. It will say so again if it is still
// so.
func forget(events <-chan kafka.Event) {
	for {
		select {
		case <-events:
		default:
			return
		}
	}
}
