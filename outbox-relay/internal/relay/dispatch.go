package relay

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// pump offers the waiting rows to the producer, topic by topic, each in order until one cannot go yet.
func (t *term) pump(ctx context.Context) error {
	for _, f := range t.flows.queued {
		if err := t.dispatch(ctx, f); err != nil {
			return err
		}
	}
	t.flows.queued = slices.DeleteFunc(t.flows.queued, func(f *flow) bool {
		f.listed = len(f.queue) > 0
		return !f.listed
	})
	return nil
}

func (t *term) dispatch(ctx context.Context, f *flow) error {
	done := 0
	defer func() { f.queue = append(f.queue[:0], f.queue[done:]...) }()
	for done < len(f.queue) && t.alive() && !t.paused {
		row := f.queue[done]
		if !row.Loaded() && t.ready(f, row) {
			if err := t.load(ctx, f.queue[done:]); err != nil {
				return err
			}
		}
		if !t.offer(f, row) {
			break
		}
		done++
	}
	return nil
}

// offer sends a row or sets it aside, and says whether it did: a row that cannot go yet keeps its place, and so does
// everything of its topic behind it.
func (t *term) offer(f *flow, row *source.Row) (passed bool) {
	if t.quarantine.blocks(row) {
		t.park(row)
		return true
	}
	refusal := t.refusalOf(f, row)
	switch {
	case f.isolator != nil:
		return false
	case refusal != nil:
		t.convict(row, refusal)
		return true
	case !t.ready(f, row) || !row.Loaded():
		return false
	}
	return t.send(f, row)
}

// refusalOf returns why a row cannot be sent, as far as that is known.
func (t *term) refusalOf(f *flow, row *source.Row) *publish.Refusal {
	switch {
	case !f.allowed:
		return publish.NotAllowed(f.topic)
	case f.refusal != nil:
		return f.refusal
	case row.Refusal != nil:
		refusal, _ := errors.AsType[*publish.Refusal](row.Refusal)
		return refusal
	case row.Deferred && row.Body > t.maxMessage:
		return publish.TooLarge(row.Body, t.maxMessage) // without reading it
	}
	return nil
}

// ready says whether a row of this topic may be sent now.
func (t *term) ready(f *flow, row *source.Row) bool {
	if !f.allowed || f.isolator != nil || f.refusal != nil || row.Refusal != nil {
		return false
	}
	if row.Deferred && (row.Body > t.maxMessage || t.streaming || t.sent > 0 && !t.fits(row.Body) && !row.Charged) {
		return false
	}
	if !f.exists {
		t.lookUp(f)
	}
	return f.exists
}

// load reads what was too long to be read along, for as many of the first rows as may be held at a time.
func (t *term) load(ctx context.Context, rows []*source.Row) error {
	var deferred []*source.Row
	bytes := 0
	for _, row := range rows {
		if row.Loaded() || row.Body > t.maxMessage {
			continue
		}
		if bytes += row.Body; len(deferred) > 0 && (bytes > loadBytes || !t.fits(bytes)) {
			break
		}
		deferred = append(deferred, row)
	}
	if err := t.session.LoadBodies(ctx, deferred); err != nil {
		return err
	}
	for _, row := range deferred {
		switch {
		case !row.Loaded():
			row.Headers = []byte{} // nothing to send: missing
			row.Gone = true
		case !row.Charged:
			row.Charged = true
			t.charge(row.Body)
		}
	}
	return nil
}

func (t *term) send(f *flow, row *source.Row) bool {
	if row.Gone {
		t.missing(row)
		return true
	}
	if t.producer.Shared() && t.sent >= publish.SharedRows || f.gate.waits(row.Key, t.now) {
		return false
	}
	err := t.producer.Send(row)
	var refusal *publish.Refusal
	switch {
	case err == nil:
		f.gate.sent(row.Key, t.now)
		row.State = source.Sent
		row.Unload() // librdkafka has a copy
		t.sent++
		f.sent++
		return true
	case errors.As(err, &refusal):
		t.convict(row, refusal)
		return true
	case errors.Is(err, publish.ErrBusy):
	default:
		t.fail(err)
	}
	return false
}

// missing lets go of a row that somebody has deleted before it was published.
func (t *term) missing(row *source.Row) {
	t.log.Error("a row was deleted before it was published", "id", row.ID, "topic", row.Topic)
	t.settle(row)
}

// lookUp asks whether a topic exists, if that is not being asked.
func (t *term) lookUp(f *flow) {
	if now := time.Now(); now.After(f.askAgain) && t.prober.LookUp(f.topic) {
		f.askAgain = now.Add(2 * time.Second)
	}
}

// lookedUp takes the answer about a topic.
func (t *term) lookedUp(a publish.Answer) {
	refusal, refused := errors.AsType[*publish.Refusal](a.Err)
	if !refused && !errors.Is(a.Err, publish.ErrNoLeader) {
		t.brokerSays(a.Err)
	}
	f := t.flows.byTopic[a.Topic]
	if a.Topic == "" || f == nil {
		return
	}
	f.exists, f.refusal = a.Err == nil, refusal
	if a.Partitions > 0 {
		f.gate.partitions = a.Partitions
	}
	if f.exists {
		f.progress = time.Now()
	} else if !refused {
		f.askAgain = time.Now().Add(500 * time.Millisecond)
	}
}

// takeAnswers takes what brokers have said by now.
func (t *term) takeAnswers() {
	t.now = time.Now() // near enough for every answer that has come
	for {
		select {
		case event := <-t.events():
			t.answered(event)
		case event := <-t.complaints():
			t.clientSays(event)
		case a := <-t.prober.Answers():
			t.probed(a)
		case e := <-t.isolated:
			t.isolatedSays(e)
		default:
			return
		}
	}
}

// events are those of the producer, if there is one.
func (t *term) events() <-chan kafka.Event {
	if t.producer == nil {
		return nil
	}
	return t.producer.Events()
}

// complaints are those of the client of a shared producer.
func (t *term) complaints() <-chan kafka.Event {
	if t.producer == nil {
		return nil
	}
	return t.producer.Complaints()
}

func (t *term) answered(event kafka.Event) {
	row, partition, err := publish.Answered(event)
	if row == nil {
		t.clientSays(event)
		return
	}
	if err == nil {
		t.acknowledged(row).gate.took(row.Key, partition, t.now)
		return
	}
	// The producer ends here; what was not acknowledged is sent again by the next.
	t.judge(row, err)
	row.State = source.Waiting
	t.sent--
	t.flows.of(row.Topic).sent--
	t.fail(err)
}

func (t *term) acknowledged(row *source.Row) *flow {
	t.published.Inc()
	t.latency.Observe(age(row.Created, t.now))
	f := t.settle(row)
	f.progress, f.exists = t.now, true
	t.brokerSays(nil)
	return f
}

func (t *term) settle(row *source.Row) *flow {
	f := t.flows.of(row.Topic)
	if row.State == source.Sent {
		t.sent--
		f.sent--
	}
	if row.Charged {
		t.charge(-row.Body)
	}
	row.Unload()
	row.State = source.Settled
	row.Batch.Unsettled--
	t.rows--
	f.rows--
	return f
}
