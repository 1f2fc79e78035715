package relay

import (
	"context"
	"errors"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill/outbox-relay/internal/publish"
	"waybill/outbox-relay/internal/source"
)

// pump offers the waiting rows to the producer, in order, until one cannot go yet.
func (t *term) pump(ctx context.Context) error {
	sent := 0
	for sent < len(t.queue) && t.broken == nil && !t.paused {
		passed, err := t.offer(ctx, t.queue[sent])
		if err != nil {
			return err
		}
		if !passed {
			break
		}
		sent++
	}
	t.queue = append(t.queue[:0], t.queue[sent:]...)
	return nil
}

// offer sends a row or sets it aside, and says whether it did: a row that cannot go yet keeps its place, and so does
// everything behind it.
func (t *term) offer(ctx context.Context, row *source.Row) (passed bool, err error) {
	if t.blocked(row) {
		t.park(row)
		return true, nil
	}
	if len(t.refused) > 0 {
		if refusal := t.refusedTopic(row.Topic); refusal != nil {
			t.convict(row, refusal)
			return true, nil
		}
	}
	if row.Refusal != nil {
		return t.probe(ctx, row)
	}
	if row.Deferred && row.Payload == nil {
		if t.streaming || (t.sent > 0 && t.bytes >= t.options.InFlightBytes) {
			return false, nil
		}
		if err := t.session.LoadPayload(ctx, row); err != nil {
			return false, err
		}
		t.bytes += len(row.Payload)
	}
	return t.send(row), nil
}

func (t *term) send(row *source.Row) bool {
	err := t.producer.Send(row)
	var refusal *publish.Refusal
	switch {
	case err == nil:
		row.State = source.Sent
		t.sent++
		return true
	case errors.As(err, &refusal):
		t.convict(row, refusal)
		return true
	case errors.Is(err, publish.ErrBusy):
	case errors.Is(err, publish.ErrUnavailable):
		t.brokerSays(err)
	default:
		t.broken = err
	}
	return false
}

// probe sends a row that was refused, perhaps only for the company of others in its batch, alone: when everything
// before it is answered, and before anything behind it.
func (t *term) probe(ctx context.Context, row *source.Row) (passed bool, err error) {
	if t.streaming || t.sent > 0 {
		return false, nil
	}
	err = t.ask(ctx, row)
	var refusal *publish.Refusal
	switch {
	case err == nil:
		t.acknowledged(row)
		return true, nil
	case errors.As(err, &refusal):
		t.convict(row, refusal)
		return true, nil
	default:
		t.brokerSays(err)
		return false, nil
	}
}

// takeAnswers takes what the broker has said by now.
func (t *term) takeAnswers() {
	t.now = time.Now() // near enough for every answer that has come
	for {
		select {
		case event := <-t.producer.Events():
			t.answered(event)
		default:
			return
		}
	}
}

func (t *term) answered(event kafka.Event) {
	row, err := publish.Answered(event)
	if row == nil {
		t.clientSays(event)
		return
	}
	if err == nil {
		t.acknowledged(row)
		return
	}
	// The producer ends here; restart sends again what was not acknowledged.
	if refusal, ok := errors.AsType[*publish.Refusal](err); ok {
		row.Refusal = refusal
	}
	row.State = source.Waiting
	t.sent--
	t.broken = err
}

func (t *term) acknowledged(row *source.Row) {
	t.published.Inc()
	t.latency.Observe(age(row.Created, t.now))
	t.restarts = 0
	t.settle(row)
	t.brokerSays(nil)
}

func (t *term) settle(row *source.Row) {
	if row.State == source.Sent {
		t.sent--
	}
	if row.Deferred {
		t.bytes -= len(row.Payload)
		row.Payload = nil
	}
	row.State = source.Settled
	row.Batch.Unsettled--
	t.rows--
}

// restart replaces a producer that has ended. Every row that it has not answered waits again, in the order in which
// the rows were read, which is the order in which they became visible.
func (t *term) restart(ctx context.Context) error {
	t.log.Warn("the Kafka producer has ended; starting another", "error", t.broken, "rows_to_send_again", t.sent)
	t.meters.restarts.Inc()
	t.producer.Purge()
	patience := time.NewTimer(purgePatience)
	defer patience.Stop()
	for t.sent > 0 {
		select {
		case event := <-t.producer.Events():
			t.answered(event)
			continue
		case <-patience.C:
		}
		break
	}
	t.producer.Close()
	pause(ctx, min(restartPause<<t.restarts-restartPause, maxRestartPause))
	t.restarts = min(t.restarts+1, 10)

	producer, err := publish.Open(t.kafka, t.name, t.pace, t.log)
	if err != nil {
		return err
	}
	t.producer, t.broken, t.sent = producer, nil, 0
	t.queue = t.queue[:0]
	for _, b := range t.batches {
		for i := range b.Rows {
			if row := &b.Rows[i]; row.State != source.Settled {
				row.State = source.Waiting
				t.queue = append(t.queue, row)
			}
		}
	}
	return nil
}

const (
	purgePatience   = time.Second
	restartPause    = 20 * time.Millisecond
	maxRestartPause = time.Second
)
