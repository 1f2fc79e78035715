package relay

import (
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/outbox-relay/internal/publish"
)

const (
	// How many full reads in a row make a backlog.
	backlogReads = 3
	// How long it must not have woken up before what comes is taken for little: to change over waits for what is in flight.
	calm = time.Second
)

// choosePace goes by what a read found: a backlog is sent in bulk, what comes as it is written, steadily, and the few rows
// that are worth a notification each, promptly.
func (t *term) choosePace(found, limit int) {
	switch {
	case found == limit:
		t.full++
	case found < t.options.BatchRows/4:
		t.full, t.wanted = 0, publish.Steady
		if t.sleeping && time.Since(t.wokeUp) > calm {
			t.wanted = publish.Prompt
		}
	default:
		t.full = 0
	}
	if t.full >= backlogReads {
		t.wanted = publish.Bulk
	}
}

// shift changes over to the producer of the pace that is wanted. Nothing is in flight then, since room lets nothing be
// read before: two producers with rows of the same key under way would not keep their order.
func (t *term) shift() error {
	if t.pace == t.wanted || t.rows > 0 {
		return nil
	}
	next := t.resting[t.wanted]
	if next == nil {
		var err error
		if next, err = t.open(t.wanted); err != nil {
			return err
		}
	}
	forget(next.Events())
	delete(t.resting, t.wanted)
	t.resting[t.pace] = t.producer
	t.producer, t.pace = next, t.wanted
	return nil
}

// renew has producers look at the topics afresh: people pause a source to give a topic more partitions, and a key must
// not go to its old partition and to its new one in turns.
func (t *term) renew() {
	for pace, p := range t.resting {
		t.closing(p.Close)
		delete(t.resting, pace)
	}
	t.parking = true
	t.fail(errRenew)
}

// forget drops what a producer complained of while it was resting. It will say so again if it is still so.
func forget(events <-chan kafka.Event) {
	for {
		select {
		case <-events:
		default:
			return
		}
	}
}
