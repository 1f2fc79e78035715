package relay

import (
	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill/outbox-relay/internal/publish"
)

// How many full reads in a row make a backlog.
const backlogReads = 3

// choosePace goes by what a read found: a backlog is sent in bulk, and what comes as it is written, promptly.
func (t *term) choosePace(found, limit int) {
	switch {
	case found == limit:
		t.full++
	case found < t.options.BatchRows/4:
		t.full, t.wanted = 0, publish.Prompt
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
	if t.pace == t.wanted {
		return nil
	}
	next := t.resting
	if next == nil {
		var err error
		if next, err = publish.Open(t.kafka, t.name, t.wanted, t.log); err != nil {
			return err
		}
	}
	forget(next.Events())
	t.producer, t.resting, t.pace = next, t.producer, t.wanted
	return nil
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
