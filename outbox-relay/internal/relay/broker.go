package relay

import (
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// clientSays reads an event of the Kafka client that is not about a row.
func (t *term) clientSays(event kafka.Event) {
	failure, ok := event.(kafka.Error)
	switch {
	case !ok:
	case failure.IsFatal():
		t.broken = failure
	case failure.Code() == kafka.ErrAllBrokersDown, failure.Code() == kafka.ErrAuthentication, failure.Code() == kafka.ErrSsl:
		t.brokerSays(failure)
	}
}

// brokerSays notes that a broker has answered (nil) or that none does.
func (t *term) brokerSays(err error) {
	if err == nil && t.answering {
		return // as for every row; the rest is for the news
	}
	t.answering = err == nil
	if err != nil {
		t.broker.Set(0)
	} else {
		t.broker.Set(1)
	}
	switch {
	case !t.status.broker(err):
	case err != nil:
		t.log.Warn("no broker answers; rows wait in the database", "error", err)
	default:
		t.log.Info("a broker answers")
	}
}

// askBroker asks a broker that was down whether it is back, when there is no row that would show it.
func (t *term) askBroker() {
	if t.answering || time.Since(t.asked) < time.Second {
		return
	}
	t.asked = time.Now()
	t.brokerSays(t.producer.Alive())
}
