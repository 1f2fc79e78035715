package relay

import (
	"errors"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/outbox-relay/internal/source"
)

// clientSays reads an event of the Kafka client that is not about a row.
func (l *loop) clientSays(event kafka.Event) {
	failure, ok := event.(kafka.Error)
	switch {
	case !ok:
	case failure.IsFatal():
		l.fail(failure)
	case failure.Code() == kafka.ErrAllBrokersDown, failure.Code() == kafka.ErrAuthentication, failure.Code() == kafka.ErrSsl:
		l.brokerSays(failure)
	}
}

// brokerSays notes that a broker has answered (nil) or that none does.
func (l *loop) brokerSays(err error) {
	if err == nil && (l.answering || l.life.looping()) {
		return // as for every row; the rest is for the news
	}
	l.answering, l.down = err == nil, err != nil
	if err != nil {
		l.broker.Set(0)
	} else {
		l.broker.Set(1)
		l.back = time.Now()
	}
	switch {
	case !l.status.broker(err):
	case err != nil:
		l.log.Warn("no broker takes rows; they wait in the database", "error", err)
	default:
		l.log.Info("a broker answers")
	}
}

// askBroker asks whether a broker answers while none has, since there may be no row that would show
// it. The answer comes in its time.
func (l *loop) askBroker() {
	if l.answering || time.Since(l.lastProbed) < time.Second {
		return
	}
	l.lastProbed = time.Now()
	l.prober.LookUp("")
}

// watchEvery is how often the loop looks at what does not move, and waitingAge how long a row may
// be in flight before operators are alerted.
const (
	watchEvery = 200 * time.Millisecond
	waitingAge = 5 * time.Second
)

// watch looks for rows that have been in flight for long: it says so, and parks their topics if
// they are in the way of others.
func (l *loop) watch() {
	now := time.Now()
	if now.Sub(l.watched) < watchEvery {
		return
	}
	l.watched = now
	l.life.last(now)
	l.askBroker()
	l.closeIdle(now)
	ages := l.ages(now)
	oldest, waits := time.Duration(0), map[string]time.Time{}
	for topic, age := range ages {
		oldest = max(oldest, age)
		if age >= waitingAge {
			waits[topic] = now.Add(-age)
		}
	}
	for ln, state := range l.quarantine.lanes {
		if state == laneWaiting {
			waits[ln.topic] = l.waiting[ln.topic].since
			oldest = max(oldest, now.Sub(l.waiting[ln.topic].since))
		}
	}
	l.inFlightBytes.Set(float64(l.bytes))
	l.oldestInFlight.Set(oldest.Seconds())
	l.stalled = oldest >= time.Second
	if news := l.status.setWaits(waits); len(news) > 0 {
		l.log.Warn("rows wait for the broker", "topics", news)
	}
	if !l.down && l.alive() && !l.paused {
		l.parkStalled(ages, now)
	}
}

// ages returns, for each topic that has had rows in flight for more than a second, the age of the
// oldest.
func (l *loop) ages(now time.Time) map[string]time.Duration {
	ages := map[string]time.Duration{}
	for _, b := range l.batches {
		age := now.Sub(b.At)
		if b.Incomplete == 0 || age < time.Second {
			continue
		}
		for _, row := range b.Rows {
			if row.State == source.Waiting || row.State == source.Sent {
				ages[row.Topic] = max(ages[row.Topic], age)
			}
		}
	}
	return ages
}

// parkStalled parks the topics that are in the way. Their rows have to leave the producer, which
// takes another. An outage counts against no topic: when a broker answers again, every row in
// flight is as old as that was long, and the producer needs some tenths of a second to reconnect.
func (l *loop) parkStalled(ages map[string]time.Duration, now time.Time) {
	able := min(now.Sub(l.life.began), now.Sub(l.back)) // for how long rows could have been taken
	var all []standing
	for topic, f := range l.flows.byTopic {
		switch {
		case f.rows > 0 && f.sent == 0 && f.exists && f.isolator == nil:
			all = append(all, standing{topic: topic, moves: true}) // it is not the broker that it waits for
		case f.rows > 0 && f.isolator == nil:
			all = append(all, standing{topic, min(ages[topic], able), now.Sub(f.progress) < time.Second})
		case f.rows == 0 && f.exists && now.Sub(f.progress) < parkAnyway:
			all = append(all, standing{topic: topic, moves: true}) // it would, if there were room to read its rows
		}
	}
	for _, topic := range park(all, l.space() == 0) {
		f := l.flows.of(topic)
		l.log.Warn("the broker takes no rows of a topic; they are parked, and the others flow on", "topic", topic, "in_flight", f.sent)
		l.quarantine.stickWaiting(topic)
		l.waiting[topic] = &waiting{since: now.Add(-ages[topic])}
		l.anyStuck = true
		if f.sent > 0 {
			l.parking = true
			l.fail(errParked)
		}
	}
}

var errParked = errors.New("rows of a topic that the broker does not take are parked")

// waiting is a topic whose broker takes no rows now.
type waiting struct {
	since time.Time
	next  time.Time // not before, whether it takes one
}
