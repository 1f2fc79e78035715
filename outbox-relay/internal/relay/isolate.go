package relay

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// isolator finds the rows at fault in a request that was refused as a whole. It sends the rows in parts through a producer
// of their own, and parts again what is refused, until the groups are small enough to ask the prober about each row:
// three producers for one bad row among two thousand, each of which takes librdkafka half a second to start. Where many
// rows turn out to be bad, it asks about each at once. The groups go one after the other, so their order holds. The rest
// of the topic waits meanwhile, and nothing else does.
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
	// How many parts a refused group is cut into. A group of so few rows, and every group after so many bad rows, is asked about row by row.
	parts, singlyRows, singlyBad = 8, 32, 3
	// How many bytes of long payloads are loaded at a time.
	loadBytes = 4 << 20
	// What requests are made smaller to at most, where their size is refused.
	leastBatchBytes = 16 << 10
)

// isolate takes the rows of a refused request out of their topic's queue.
func (t *term) isolate(f *flow, rows []*source.Row) {
	if refusal, ok := errors.AsType[*publish.Refusal](rows[0].Refusal); ok && refusal.IsTooLarge() {
		t.shrink()
	}
	for _, row := range rows {
		row.State, row.Refusal = source.Suspect, nil
	}
	f.queue = slices.DeleteFunc(f.queue, func(row *source.Row) bool { return row.State == source.Suspect })
	f.isolator = &isolator{flow: f}
	f.isolator.groups = split(rows)
	t.isolators = append(t.isolators, f.isolator)
}

// shrink makes requests smaller from now on: each row may be small enough where all together are not.
func (t *term) shrink() {
	if t.batchBytes == 0 {
		t.batchBytes = 1 << 20
	}
	t.batchBytes = max(t.batchBytes/2, leastBatchBytes)
	for p := range t.idleProducers {
		t.drop(p)
	}
}

// split cuts rows into parts, of which a refusal concerns one.
func split(rows []*source.Row) [][]*source.Row {
	return slices.Collect(slices.Chunk(rows, max(1, (len(rows)+parts-1)/parts)))
}

// stepIsolators takes every isolator as far as it comes without waiting.
func (t *term) stepIsolators(ctx context.Context) error {
	for i, iso := range t.isolators {
		if i >= maxIsolators || t.paused {
			break
		}
		if err := t.stepIsolator(ctx, iso); err != nil {
			return err
		}
	}
	t.isolators = slices.DeleteFunc(t.isolators, func(iso *isolator) bool { return iso.flow.isolator != iso })
	return nil
}

func (t *term) stepIsolator(ctx context.Context, iso *isolator) error {
	for {
		if t.sendMore(iso); iso.pending > 0 && len(iso.singly) == 0 {
			return nil
		}
		if len(iso.singly) > 0 {
			if sent, err := t.askSingly(ctx, iso); err != nil || !sent {
				return err
			}
			continue
		}
		if iso.current != nil {
			t.concluded(iso)
		}
		if len(iso.groups) == 0 {
			t.endIsolator(iso)
			return nil
		}
		if time.Now().Before(iso.retry) {
			return nil
		}
		if err := t.sendGroup(ctx, iso); err != nil {
			return err
		}
	}
}

// concluded deals with what is left of a group when all of it is answered.
func (t *term) concluded(iso *isolator) {
	left := slices.DeleteFunc(iso.current, func(row *source.Row) bool { return row.State == source.Settled })
	iso.current = nil
	if iso.failed == nil && len(left) == 0 {
		return
	}
	t.closeIsolated(iso)
	var refused, rest []*source.Row
	for _, row := range left {
		if row.Refusal != nil {
			refused = append(refused, row)
		} else {
			rest = append(rest, row)
		}
	}
	var groups [][]*source.Row
	switch refusal, _ := errors.AsType[*publish.Refusal](first(refused)); {
	case len(refused) == 0:
		iso.retry = time.Now().Add(isolatorPause) // for no row's sake
	case len(refused) == 1 || refusal.WholeTopic:
		t.convict(refused[0], refusal)
		iso.bad++
		rest = slices.Concat(refused[1:], rest)
	default:
		if refusal.IsTooLarge() {
			t.shrink()
		}
		groups = split(refused)
	}
	for _, row := range refused {
		row.Refusal = nil
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
	return rows[0].Refusal
}

// sendGroup sends the next group, or a part of it if that is too much to hold in memory.
func (t *term) sendGroup(ctx context.Context, iso *isolator) (err error) {
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
		if iso.producer, err = t.openOwn(publish.LowLatency); err != nil {
			return err
		}
		iso.gate = gate{partitions: iso.flow.gate.partitions}
		t.forward(iso, iso.producer.Events())
	}
	if err := t.session.LoadBodies(ctx, unloaded(group)); err != nil {
		return err
	}
	iso.failed, iso.current, iso.unsent = nil, make([]*source.Row, 0, len(group)), group
	return nil
}

// sendMore sends the rows of the current group, up to one that has to wait for the answer about an earlier one.
func (t *term) sendMore(iso *isolator) {
	for len(iso.unsent) > 0 && (iso.failed != nil || !iso.gate.waits(iso.unsent[0].Key, t.now)) {
		t.sendIsolated(iso, iso.unsent[0])
		iso.unsent = iso.unsent[1:]
	}
}

func (t *term) sendIsolated(iso *isolator, row *source.Row) {
	switch {
	case t.quarantine.blocks(row):
		t.park(row)
		return
	case !row.Loaded():
		t.missing(row)
		return
	}
	iso.current = append(iso.current, row)
	if iso.failed != nil {
		return
	}
	err := iso.producer.Send(row)
	row.Unload()
	if err == nil {
		iso.gate.sent(row.Key, t.now)
		iso.pending++
		return
	}
	iso.failed = err
	iso.producer.Purge() // one that has ended answers no more by itself
	if refusal, ok := errors.AsType[*publish.Refusal](err); ok {
		row.Refusal = refusal
	}
}

// askSingly asks the prober about rows of a group, as many as it takes, and about one of each key at a time. It says whether
// it asked about any.
func (t *term) askSingly(ctx context.Context, iso *isolator) (sent bool, err error) {
	if time.Now().Before(iso.retry) {
		return false, nil
	}
	if len(t.alone) >= maxProbes*3/4 {
		return false, nil
	}
	var left []*source.Row
	held := map[string]struct{}{}
	for i, row := range iso.singly {
		if len(t.alone) >= maxProbes {
			left = append(left, iso.singly[i:]...)
			break
		}
		key := string(row.Key)
		_, out := iso.out[key]
		_, behind := held[key]
		switch {
		case t.quarantine.blocks(row):
			t.park(row)
		case row.Key != nil && (out || behind):
			held[key] = struct{}{}
			left = append(left, row)
		default:
			if err := t.askAlone(ctx, iso, row); err != nil {
				return sent, err
			}
			sent = true
		}
	}
	iso.singly = left
	return sent, nil
}

func (t *term) askAlone(ctx context.Context, iso *isolator, row *source.Row) error {
	if !row.Loaded() {
		if err := t.session.LoadBodies(ctx, []*source.Row{row}); err != nil {
			return err
		}
		if !row.Loaded() {
			t.missing(row)
			return nil
		}
	}
	t.alone[row] = iso
	iso.pending++
	if row.Key != nil {
		iso.out[string(row.Key)] = struct{}{}
	}
	err := t.prober.Send(row)
	row.Unload()
	if err != nil {
		t.aloneSays(iso, row, err)
	}
	return nil
}

// aloneSays takes the answer about one row of a group.
func (t *term) aloneSays(iso *isolator, row *source.Row, err error) {
	delete(t.alone, row)
	delete(iso.out, string(row.Key))
	iso.pending--
	refusal, refused := errors.AsType[*publish.Refusal](err)
	switch {
	case err == nil:
		t.acknowledged(row)
	case refused:
		row.Refusal = nil
		t.convict(row, refusal)
		iso.bad++
	default:
		iso.singly = append([]*source.Row{row}, iso.singly...)
		slices.SortFunc(iso.singly, func(a, b *source.Row) int { return cmp.Compare(a.ID, b.ID) })
		iso.retry = time.Now().Add(isolatorPause)
	}
}

// isolated is an event of an isolator's producer.
type isolated struct {
	from     *isolator
	producer *publish.Producer
	event    kafka.Event
}

// forward brings the events of an isolator's producer to the loop, until the producer is closed.
func (t *term) forward(iso *isolator, events <-chan kafka.Event) {
	producer := iso.producer
	t.ends.Go(func() {
		for event := range events {
			select {
			case t.isolated <- isolated{iso, producer, event}:
			case <-t.ended:
			}
		}
	})
}

func (t *term) isolatedSays(e isolated) {
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
		t.acknowledged(row)
		iso.gate.took(row.Key, partition, t.now)
		return
	}
	if rejection := publish.Rejection(row.Topic, err); rejection != nil {
		row.Refusal = rejection
	}
	if iso.failed == nil {
		iso.failed = err
		iso.producer.Purge()
	}
}

func (t *term) closeIsolated(iso *isolator) {
	if iso.producer != nil {
		t.closing(iso.producer.Close)
		iso.producer = nil
	}
}

func (t *term) endIsolator(iso *isolator) {
	t.closeIsolated(iso)
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
