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

// isolator finds the rows at fault in a request that was refused as a whole. It sends the rows in
// parts through a producer of their own, and parts again what is refused, until the groups are
// small enough to ask the prober about each row: three producers for one bad row among two
// thousand, each of which takes librdkafka half a second to start. Where many rows turn out to be
// bad, it asks about each at once. The groups go one after the other, so their order holds. The
// rest of the topic waits meanwhile, and nothing else does.
type isolator struct {
	flow     *flow
	groups   [][]*source.Row // still to be sent, in order
	current  []*source.Row   // of them, the group that is under way
	unsent   []*source.Row   // of the current group, those that the producer does not have yet
	gate     gate            // of the producer
	pending  int             // rows of it that are not answered
	failed   error
	producer *publish.Producer
	retry    time.Time           // not before, after a failure that was no row's
	singly   []*source.Row       // of the current group, those still to be asked about one by one
	out      map[string]struct{} // keys of which a row is being asked about
	bad      int                 // rows that were found to be at fault
}

const (
	isolatorPause = 500 * time.Millisecond
	// How many topics are looked at at once, each with a Kafka client.
	maxIsolators = 8
	// How many parts a refused group is cut into. A group of so few rows, and every group after so
	// many bad rows, is asked about row by row.
	parts, singlyRows, singlyBad = 8, 32, 3
	// How many bytes of long payloads are loaded at a time.
	loadBytes = 4 << 20
	// What requests are made smaller to at most, where their size is refused.
	leastBatchBytes = 16 << 10
)

// isolate takes the rows of a refused request out of their topic's queue.
func (l *loop) isolate(f *flow, rows []*source.Row) {
	if refusal, ok := errors.AsType[*publish.PermanentError](rows[0].Err); ok && refusal.IsTooLarge() {
		l.shrink()
	}
	for _, row := range rows {
		row.State, row.Err = source.Suspect, nil
	}
	f.queue = slices.DeleteFunc(f.queue, func(row *source.Row) bool { return row.State == source.Suspect })
	f.isolator = &isolator{flow: f}
	f.isolator.groups = split(rows)
	l.isolators = append(l.isolators, f.isolator)
}

// shrink makes requests smaller from now on: each row may be small enough where all together are
// not.
func (l *loop) shrink() {
	if l.batchBytes == 0 {
		l.batchBytes = 1 << 20
	}
	l.batchBytes = max(l.batchBytes/2, leastBatchBytes)
	for p := range l.idleProducers {
		l.drop(p)
	}
}

// split cuts rows into parts, of which a refusal concerns one.
func split(rows []*source.Row) [][]*source.Row {
	return slices.Collect(slices.Chunk(rows, max(1, (len(rows)+parts-1)/parts)))
}

// stepIsolators takes every isolator as far as it comes without waiting.
func (l *loop) stepIsolators(ctx context.Context) error {
	for i, iso := range l.isolators {
		if i >= maxIsolators || l.paused {
			break
		}
		if err := l.stepIsolator(ctx, iso); err != nil {
			return err
		}
	}
	l.isolators = slices.DeleteFunc(l.isolators, func(iso *isolator) bool { return iso.flow.isolator != iso })
	return nil
}

func (l *loop) stepIsolator(ctx context.Context, iso *isolator) error {
	for {
		if l.sendMore(iso); iso.pending > 0 && len(iso.singly) == 0 {
			return nil
		}
		if len(iso.singly) > 0 {
			if sent, err := l.askSingly(ctx, iso); err != nil || !sent {
				return err
			}
			continue
		}
		if iso.current != nil {
			l.concluded(iso)
		}
		if len(iso.groups) == 0 {
			l.endIsolator(iso)
			return nil
		}
		if time.Now().Before(iso.retry) {
			return nil
		}
		if err := l.sendGroup(ctx, iso); err != nil {
			return err
		}
	}
}

// concluded deals with what is left of a group when all of it is answered.
func (l *loop) concluded(iso *isolator) {
	left := slices.DeleteFunc(iso.current, func(row *source.Row) bool { return row.State == source.Completed })
	iso.current = nil
	if iso.failed == nil && len(left) == 0 {
		return
	}
	l.closeIsolated(iso)
	var refused, rest []*source.Row
	for _, row := range left {
		if row.Err != nil {
			refused = append(refused, row)
		} else {
			rest = append(rest, row)
		}
	}
	var groups [][]*source.Row
	switch refusal, _ := errors.AsType[*publish.PermanentError](first(refused)); {
	case len(refused) == 0:
		iso.retry = time.Now().Add(isolatorPause) // for no row's sake
	case len(refused) == 1 || refusal.WholeTopic:
		l.markStuck(refused[0], refusal)
		iso.bad++
		rest = slices.Concat(refused[1:], rest)
	default:
		if refusal.IsTooLarge() {
			l.shrink()
		}
		groups = split(refused)
	}
	for _, row := range refused {
		row.Err = nil
	}
	if len(rest) > 0 {
		groups = append(groups, rest)
	}
	iso.groups = append(groups, iso.groups...)
}

func first(rows []*source.Row) error {
	if len(rows) == 0 {
		return nil
	}
	return rows[0].Err
}

// sendGroup sends the next group, or a part of it if that is too much to hold in memory.
func (l *loop) sendGroup(ctx context.Context, iso *isolator) (err error) {
	if bodies := deferredBytes(iso.groups[0]); bodies > loadBytes && len(iso.groups[0]) > 1 {
		iso.groups = append(split(iso.groups[0]), iso.groups[1:]...)
		return nil
	}
	group := iso.groups[0]
	iso.groups = iso.groups[1:]
	if len(group) <= singlyRows || iso.bad >= singlyBad {
		iso.failed, iso.singly = nil, group
		iso.out = map[string]struct{}{}
		return nil
	}
	if iso.producer == nil {
		if iso.producer, err = l.openOwn(publish.LowLatency); err != nil {
			return err
		}
		iso.gate = gate{partitions: iso.flow.gate.partitions}
		l.forward(iso, iso.producer.Events())
	}
	if err := l.session.LoadBodies(ctx, unloaded(group)); err != nil {
		return err
	}
	iso.failed, iso.current, iso.unsent = nil, make([]*source.Row, 0, len(group)), group
	return nil
}

// sendMore sends the rows of the current group, up to one that has to wait for the answer about an
// earlier one.
func (l *loop) sendMore(iso *isolator) {
	for len(iso.unsent) > 0 && (iso.failed != nil || !iso.gate.waits(iso.unsent[0].Key, l.now)) {
		l.sendIsolated(iso, iso.unsent[0])
		iso.unsent = iso.unsent[1:]
	}
}

func (l *loop) sendIsolated(iso *isolator, row *source.Row) {
	switch {
	case l.quarantine.blocks(row):
		l.park(row)
		return
	case !row.Loaded():
		l.missing(row)
		return
	}
	iso.current = append(iso.current, row)
	if iso.failed != nil {
		return
	}
	err := iso.producer.Send(row)
	row.Unload()
	if err == nil {
		iso.gate.sent(row.Key, l.now)
		iso.pending++
		return
	}
	iso.failed = err
	iso.producer.Purge() // one that has ended answers no more by itself
	if refusal, ok := errors.AsType[*publish.PermanentError](err); ok {
		row.Err = refusal
	}
}

// isolated is an event of an isolator's producer.
type isolated struct {
	from     *isolator
	producer *publish.Producer
	event    kafka.Event
}

// forward brings the events of an isolator's producer to the loop, until the producer is closed.
func (l *loop) forward(iso *isolator, events <-chan kafka.Event) {
	producer := iso.producer
	l.closers.Go(func() {
		for event := range events {
			select {
			case l.isolated <- isolated{iso, producer, event}:
			case <-l.ended:
			}
		}
	})
}

func (l *loop) isolatedSays(e isolated) {
	iso := e.from
	if e.producer != iso.producer {
		return // of an earlier group
	}
	row, partition, err := publish.Answered(e.event)
	if row == nil {
		if failure, ok := e.event.(kafka.Error); ok && failure.IsFatal() && iso.failed == nil {
			iso.failed = failure
			iso.producer.Purge()
		}
		return
	}
	iso.pending--
	if err == nil {
		l.acknowledged(row)
		iso.gate.took(row.Key, partition, l.now)
		return
	}
	if rejection := publish.PermanentByRepetition(row.Topic, err); rejection != nil {
		row.Err = rejection
	}
	if iso.failed == nil {
		iso.failed = err
		iso.producer.Purge()
	}
}

func (l *loop) closeIsolated(iso *isolator) {
	if iso.producer != nil {
		l.closing(iso.producer.Close)
		iso.producer = nil
	}
}

func (l *loop) endIsolator(iso *isolator) {
	l.closeIsolated(iso)
	iso.flow.isolator = nil
}

func unloaded(rows []*source.Row) []*source.Row {
	var found []*source.Row
	for _, row := range rows {
		if !row.Loaded() {
			found = append(found, row)
		}
	}
	return found
}

func deferredBytes(rows []*source.Row) (sum int) {
	for _, row := range rows {
		if row.Deferred {
			sum += row.Body
		}
	}
	return sum
}
