package relay

import (
	"errors"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/outbox-relay/internal/source"
)

// clientSays reads an event of the Kafka client that is not about a row.
func (t *term) clientSays(event kafka.Event) {
	failure, ok := event.(kafka.Error)
	switch {
	case !ok:
	case failure.IsFatal():
		t.fail(failure)
	case failure.Code() == kafka.ErrAllBrokersDown, failure.Code() == kafka.ErrAuthentication, failure.Code() == kafka.ErrSsl:
		t.brokerSays(failure)
	}
}

// brokerSays notes that a broker has answered (nil) or that none does.
func (t *term) brokerSays(err error) {
	if err == nil && (t.answering || t.life.looping()) {
		return // as for every row; the rest is for the news
	}
	t.answering, t.down = err == nil, err != nil
	if err != nil {
		t.broker.Set(0)
	} else {
		t.broker.Set(1)
	}
	switch {
	case !t.status.broker(err):
	case err != nil:
		t.log.Warn("no broker takes rows; they wait in the database", "error", err)
	default:
		t.log.Info("a broker answers")
	}
}

// askBroker asks whether a broker answers while none has, since there may be no row that would show it. The answer comes in
// its time.
func (t *term) askBroker() {
	if t.answering || time.Since(t.asked) < time.Second {
		return
	}
	t.asked = time.Now()
	t.prober.LookUp("")
}

// watchEvery is how often the loop looks at what does not move, and waitingAge how long a row may be in flight before
// people are told.
const (
	watchEvery = 200 * time.Millisecond
	waitingAge = 5 * time.Second
)

// watch looks for rows that have been in flight for long: it says so, and parks their topics if they are in the way of others.
func (t *term) watch() {
	now := time.Now()
	if now.Sub(t.watched) < watchEvery {
		return
	}
	t.watched = now
	t.life.last(now)
	t.askBroker()
	t.closeIdle(now)
	ages := t.ages(now)
	oldest, waits := time.Duration(0), map[string]time.Time{}
	for topic, age := range ages {
		oldest = max(oldest, age)
		if age >= waitingAge {
			waits[topic] = now.Add(-age)
		}
	}
	for l, state := range t.quarantine.lanes {
		if state == laneWaiting {
			waits[l.topic] = t.waiting[l.topic].since
			oldest = max(oldest, now.Sub(t.waiting[l.topic].since))
		}
	}
	t.inFlightBytes.Set(float64(t.bytes))
	t.oldestInFlight.Set(oldest.Seconds())
	t.stalled = oldest >= time.Second
	if news := t.status.setWaits(waits); len(news) > 0 {
		t.log.Warn("rows wait for the broker", "topics", news)
	}
	if !t.down && t.alive() && !t.paused {
		t.parkStalled(ages, now)
	}
}

// ages returns, for each topic that has had rows in flight for more than a second, the age of the oldest.
func (t *term) ages(now time.Time) map[string]time.Duration {
	ages := map[string]time.Duration{}
	for _, b := range t.batches {
		age := now.Sub(b.At)
		if b.Unsettled == 0 || age < time.Second {
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

// parkStalled parks the topics that are in the way. Their rows have to leave the producer, which takes another.
func (t *term) parkStalled(ages map[string]time.Duration, now time.Time) {
	var all []standing
	for topic, f := range t.flows.byTopic {
		switch {
		case f.rows > 0 && f.sent == 0 && f.exists && f.isolator == nil:
			all = append(all, standing{topic: topic, moves: true}) // it is not the broker that it waits for
		case f.rows > 0 && f.isolator == nil:
			all = append(all, standing{topic, min(ages[topic], now.Sub(t.life.began)), now.Sub(f.progress) < time.Second})
		case f.rows == 0 && f.exists && now.Sub(f.progress) < parkAnyway:
			all = append(all, standing{topic: topic, moves: true}) // it would, if there were room to read its rows
		}
	}
	for _, topic := range park(all, t.space() == 0) {
		f := t.flows.of(topic)
		t.log.Warn("the broker takes no rows of a topic; they are parked, and the others flow on", "topic", topic, "in_flight", f.sent)
		t.quarantine.stickWaiting(topic)
		t.waiting[topic] = &waiting{since: now.Add(-ages[topic])}
		t.anyStuck = true
		if f.sent > 0 {
			t.parking = true
			t.fail(errParked)
		}
	}
}

var errParked = errors.New("rows of a topic that the broker does not take are parked")

// waiting is a topic whose broker takes no rows now.
type waiting struct {
	since time.Time
	next  time.Time // not before, whether it takes one
}
