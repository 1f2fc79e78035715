package relay

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/chassis/telemetry"
	"waybill.example/chassis/tracing"
	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// pump offers the waiting rows to the producer, topic by topic, each in order until one cannot go
// yet.
func (l *loop) dispatch(ctx context.Context) error {
	for _, f := range l.flows.queued {
		if err := l.dispatchTopic(ctx, f); err != nil {
			return err
		}
	}
	l.flows.queued = slices.DeleteFunc(l.flows.queued, func(f *flow) bool {
		f.listed = len(f.queue) > 0
		return !f.listed
	})
	return nil
}

func (l *loop) dispatchTopic(ctx context.Context, f *flow) error {
	done := 0
	defer func() { f.queue = append(f.queue[:0], f.queue[done:]...) }()
	for done < len(f.queue) && l.alive() && !l.paused {
		row := f.queue[done]
		if !row.Loaded() && l.ready(f, row) {
			if err := l.load(ctx, f.queue[done:]); err != nil {
				return err
			}
		}
		if !l.trySend(f, row) {
			break
		}
		done++
	}
	return nil
}

// offer sends a row or sets it aside, and says whether it did: a row that cannot go yet keeps its
// place, and so does everything of its topic behind it.
func (l *loop) trySend(f *flow, row *source.Row) (passed bool) {
	if l.quarantine.blocks(row) {
		l.park(row)
		return true
	}
	refusal := l.refusalOf(f, row)
	switch {
	case f.isolator != nil:
		return false
	case refusal != nil:
		l.markStuck(row, refusal)
		return true
	case !l.ready(f, row) || !row.Loaded():
		return false
	}
	return l.send(f, row)
}

// refusalOf returns why a row cannot be sent, as far as that is known.
func (l *loop) refusalOf(f *flow, row *source.Row) *publish.PermanentError {
	switch {
	case !f.allowed:
		return publish.NotAllowed(f.topic)
	case f.refusal != nil:
		return f.refusal
	case row.Err != nil:
		refusal, _ := errors.AsType[*publish.PermanentError](row.Err)
		return refusal
	case row.Deferred && row.Body > l.maxMessage:
		return publish.TooLarge(row.Body, l.maxMessage) // without reading it
	}
	return nil
}

// ready says whether a row of this topic may be sent now.
func (l *loop) ready(f *flow, row *source.Row) bool {
	if !f.allowed || f.isolator != nil || f.refusal != nil || row.Err != nil {
		return false
	}
	if row.Deferred && (row.Body > l.maxMessage || l.streaming || l.sent > 0 && !l.fits(row.Body) && !row.Charged) {
		return false
	}
	if !f.exists {
		l.lookUp(f)
	}
	return f.exists
}

// load reads what was too long to be read along, for as many of the first rows as may be held at a
// time.
func (l *loop) load(ctx context.Context, rows []*source.Row) error {
	var deferred []*source.Row
	bytes := 0
	for _, row := range rows {
		if row.Loaded() || row.Body > l.maxMessage {
			continue
		}
		if bytes += row.Body; len(deferred) > 0 && (bytes > loadBytes || !l.fits(bytes)) {
			break
		}
		deferred = append(deferred, row)
	}
	if err := l.session.LoadBodies(ctx, deferred); err != nil {
		return err
	}
	for _, row := range deferred {
		switch {
		case !row.Loaded():
			row.Headers = []byte{} // nothing to send: missing
			row.Gone = true
		case !row.Charged:
			row.Charged = true
			l.charge(row.Body)
		}
	}
	return nil
}

func (l *loop) send(f *flow, row *source.Row) bool {
	if row.Gone {
		l.missing(row)
		return true
	}
	if l.producer.Shared() && l.sent >= publish.SharedRows || f.gate.waits(row.Key, l.now) {
		return false
	}
	err := l.producer.Send(row)
	var refusal *publish.PermanentError
	switch {
	case err == nil:
		f.gate.sent(row.Key, l.now)
		row.State = source.Sent
		row.Unload() // librdkafka has a copy
		l.sent++
		f.sent++
		return true
	case errors.As(err, &refusal):
		l.markStuck(row, refusal)
		return true
	case errors.Is(err, publish.ErrBusy):
	default:
		l.fail(err)
	}
	return false
}

// missing lets go of a row that somebody has deleted before it was published.
func (l *loop) missing(row *source.Row) {
	l.logAbout(row).Error("a row was deleted before it was published")
	l.complete(row)
}

// lookUp asks whether a topic exists, if that is not being asked.
func (l *loop) lookUp(f *flow) {
	if now := time.Now(); now.After(f.askAgain) && l.prober.LookUp(f.topic) {
		f.askAgain = now.Add(2 * time.Second)
	}
}

// lookedUp takes the answer about a topic.
func (l *loop) lookedUp(a publish.Answer) {
	refusal, refused := errors.AsType[*publish.PermanentError](a.Err)
	if !refused && !errors.Is(a.Err, publish.ErrNoLeader) {
		l.brokerSays(a.Err)
	}
	f := l.flows.byTopic[a.Topic]
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
func (l *loop) takeAnswers() {
	l.now = time.Now() // near enough for every answer that has come
	for {
		select {
		case event := <-l.events():
			l.answered(event)
		case event := <-l.complaints():
			l.clientSays(event)
		case a := <-l.prober.Answers():
			l.probed(a)
		case e := <-l.isolated:
			l.isolatedSays(e)
		default:
			return
		}
	}
}

// events are those of the producer, if there is one.
func (l *loop) events() <-chan kafka.Event {
	if l.producer == nil {
		return nil
	}
	return l.producer.Events()
}

// complaints are those of the client of a shared producer.
func (l *loop) complaints() <-chan kafka.Event {
	if l.producer == nil {
		return nil
	}
	return l.producer.Complaints()
}

func (l *loop) answered(event kafka.Event) {
	row, partition, err := publish.Answered(event)
	if row == nil {
		l.clientSays(event)
		return
	}
	if err == nil {
		l.acknowledged(row).gate.took(row.Key, partition, l.now)
		return
	}
	// The producer ends here; what was not acknowledged is sent again by the next.
	l.judge(row, err)
	row.State = source.Waiting
	l.sent--
	l.flows.of(row.Topic).sent--
	l.fail(err)
}

func (l *loop) acknowledged(row *source.Row) *flow {
	l.moves.acknowledged++
	l.published.Inc()
	traceID := ""
	if tracing.Enabled() {
		traceID = l.trace(row)
	}
	telemetry.Observe(l.latency, age(row.Created, l.now), traceID)
	if l.debug {
		l.logAbout(row).Debug("row published")
	}
	f := l.complete(row)
	f.progress, f.exists = l.now, true
	l.brokerSays(nil)
	return f
}

func (l *loop) trace(row *source.Row) (traceID string) {
	return tracing.Published(tracing.Row{
		Database: l.name, ID: row.ID, EventID: row.EventID, Topic: row.Topic, Type: row.Type,
		Headers: row.Headers, Inserted: row.CreatedAt(),
	})
}

func (l *loop) complete(row *source.Row) *flow {
	f := l.flows.of(row.Topic)
	if row.State == source.Sent {
		l.sent--
		f.sent--
	}
	if row.Charged {
		l.charge(-row.Body)
	}
	row.Unload()
	row.State = source.Completed
	row.Batch.Incomplete--
	l.rows--
	f.rows--
	return f
}
