package relay

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

const (
	// How often stuck rows that are due are looked for, and how many of them are asked about at once.
	retryEvery = 250 * time.Millisecond
	maxProbes  = 500
	// After how long a row is asked about again that no broker had an answer to.
	noAnswerPause = 2 * time.Second
	// How often lanes are held against the stuck rows, of which people may have deleted some.
	compareEvery = 30 * time.Second
)

// retry asks about stuck rows that are due, and releases the parked rows of lanes that may go. It comes right after
// advance, so that the database knows of every row that was set aside. Nothing here waits for a broker.
func (t *term) retry(ctx context.Context) error {
	now := time.Now()
	if !t.anyStuck || t.paused || t.down || now.Sub(t.retried) < retryEvery {
		return nil
	}
	t.retried = now
	if err := t.advance(ctx); err != nil {
		return err
	}
	if err := t.probeDue(ctx); err != nil {
		return err
	}
	if err := t.probeWaiting(ctx); err != nil {
		return err
	}
	if err := t.releaseParked(ctx); err != nil {
		return err
	}
	if err := t.compareLanes(ctx); err != nil {
		return err
	}
	if len(t.quarantine.lanes) > 0 || len(t.probing) > 0 {
		return nil
	}
	var err error
	t.anyStuck, err = t.session.AnyStuck(ctx)
	return err
}

// probeDue sends stuck rows that are due through the prober, one of each lane at a time. Rows of a lane wait for the row
// that is tried, so several lanes can be asked about at once.
func (t *term) probeDue(ctx context.Context) error {
	places := maxProbes - len(t.probing)
	if places <= 0 {
		return nil
	}
	tried := append([]int64{}, slices.Collect(maps.Keys(t.probing))...)
	due, err := t.session.Due(ctx, places, tried, t.notYet())
	if err != nil || len(due) == 0 {
		return err
	}
	asked := map[int64]source.Due{}
	for _, d := range due {
		switch {
		case d.Discarded:
			t.gone(d)
		case !t.ahead(d):
			asked[d.ID] = d
		}
	}
	return t.probe(ctx, asked)
}

// notYet returns the rows that are due by the database's account and are not to be sent yet.
func (t *term) notYet() []int64 {
	ids := []int64{}
	for id, time := range t.notBefore {
		if t.now.Before(time) {
			ids = append(ids, id)
		} else {
			delete(t.notBefore, id)
		}
	}
	return ids
}

// ahead says whether an earlier row of the same lane is still on its way, which a probe must not overtake.
func (t *term) ahead(d source.Due) bool {
	f := t.flows.of(d.Topic)
	if f.rows == 0 {
		return false
	}
	if d.Whole {
		return true
	}
	for _, b := range t.batches {
		for _, row := range b.Rows {
			if row.State != source.Settled && row.Topic == d.Topic && d.Key != nil && string(row.Key) == *d.Key {
				return true
			}
		}
	}
	return false
}

// probe sends rows alone. Rows that are too long to be sent are not read for it, and rows that are gone let their followers go.
func (t *term) probe(ctx context.Context, asked map[int64]source.Due) error {
	if len(asked) == 0 {
		return nil
	}
	batch := source.NewBatch(len(asked))
	if err := t.session.ReadByID(ctx, slices.Collect(maps.Keys(asked)), batch); err != nil {
		return err
	}
	found := map[int64]bool{}
	for _, row := range batch.Rows {
		found[row.ID] = true
	}
	for id, d := range asked {
		if !found[id] {
			t.log.Error("a stuck row was deleted; its followers go out", "id", id, "topic", d.Topic)
			t.gone(d)
		}
	}
	return t.probeRows(ctx, batch, asked)
}

func (t *term) probeRows(ctx context.Context, batch *source.Batch, asked map[int64]source.Due) error {
	bytes := 0
	var load []*source.Row
	for _, row := range batch.Rows {
		if !row.Loaded() && t.flows.of(row.Topic).allowed && row.Body <= t.maxMessage && bytes+row.Body <= loadBytes {
			bytes += row.Body
			load = append(load, row)
		}
	}
	if err := t.session.LoadBodies(ctx, load); err != nil {
		return err
	}
	for _, row := range batch.Rows {
		d := asked[row.ID]
		switch {
		case !t.flows.of(row.Topic).allowed:
			t.refusedAgain(d, publish.NotAllowed(row.Topic))
		case row.Deferred && row.Body > t.maxMessage:
			t.refusedAgain(d, publish.TooLarge(row.Body, t.maxMessage))
		case !row.Loaded(): // at the next look
		default:
			t.probing[row.ID] = d
			send := t.prober.Send
			if d.Whole {
				send = t.prober.SendIfThere
			}
			if err := send(row); err != nil {
				t.probed(publish.Answer{Row: row, Err: err})
			}
			row.Unload()
		}
	}
	return nil
}

// probed takes an answer of the prober.
func (t *term) probed(a publish.Answer) {
	if a.Row == nil {
		t.lookedUp(a)
		return
	}
	if iso := t.alone[a.Row]; iso != nil {
		t.aloneSays(iso, a.Row, a.Err)
		return
	}
	d, ok := t.probing[a.Row.ID]
	if !ok {
		return
	}
	delete(t.probing, a.Row.ID)
	refusal, refused := errors.AsType[*publish.Refusal](a.Err)
	switch {
	case a.Err == nil:
		t.published.Inc()
		t.log.Info("a stuck row is published", "id", d.ID, "topic", d.Topic)
		t.flows.of(d.Topic).exists = true
		t.gone(d)
		t.brokerSays(nil)
	case refused:
		t.refusedAgain(d, refusal)
	default:
		t.notBefore[d.ID] = time.Now().Add(noAnswerPause)
		if w := t.waiting[d.Topic]; w != nil {
			w.next = t.notBefore[d.ID]
		}
	}
	t.retried = time.Time{} // others may be waiting for the place
}

func (t *term) refusedAgain(d source.Due, refusal *publish.Refusal) {
	t.step.Stuck = append(t.step.Stuck, source.Stuck{
		ID: d.ID, Key: d.Key, Topic: d.Topic, Whole: refusal.WholeTopic, Code: refusal.Code, Error: refusal.Reason,
	})
	before, had := laneOf(d.Topic, d.Key, d.Whole)
	after, has := laneOf(d.Topic, d.Key, refusal.WholeTopic)
	if has {
		t.quarantine.stick(after)
	}
	if refusal.WholeTopic {
		delete(t.waiting, d.Topic)
	}
	if had && before != after {
		t.release(before) // it was the topic, and is the row; or the other way round
	}
}

// gone lets the followers of a stuck row go, which is published, discarded or deleted.
func (t *term) gone(d source.Due) {
	t.step.Released = append(t.step.Released, d.ID)
	if l, ok := laneOf(d.Topic, d.Key, d.Whole); ok {
		t.release(l)
	}
}

func (t *term) release(l lane) {
	t.quarantine.release(l)
	if l.whole {
		delete(t.waiting, l.topic)
	}
}

// probeWaiting tries the first row of each topic whose broker took none.
func (t *term) probeWaiting(ctx context.Context) error {
	for topic, w := range t.waiting {
		if t.now.Before(w.next) || t.flows.of(topic).rows > 0 {
			continue
		}
		w.next = t.now.Add(2 * noAnswerPause) // of the answer
		batch := source.NewBatch(1)
		if err := t.session.FirstParked(ctx, topic, batch); err != nil {
			return err
		}
		if len(batch.Rows) == 0 {
			t.release(lane{topic: topic, whole: true})
			continue
		}
		row := batch.Rows[0]
		d := source.Due{ID: row.ID, Topic: topic, Key: keyOf(row), Whole: true}
		if err := t.probeRows(ctx, batch, map[int64]source.Due{d.ID: d}); err != nil {
			return err
		}
	}
	return nil
}

// releaseParked reads parked rows whose turn has come and queues them like new ones. One batch of them is under way
// at a time, so that rows are read again only when those read before are settled in the database. A lane ends when its
// last parked rows are in the queue: what comes later is sent after them.
func (t *term) releaseParked(ctx context.Context) error {
	if t.underWay(source.Released) || t.space() == 0 {
		return nil
	}
	topics, keys := t.quarantine.releasing(func(topic string) bool {
		f := t.flows.of(topic)
		return len(f.queue) == 0 && f.isolator == nil
	})
	if len(topics)+len(keys) == 0 {
		return nil
	}
	if err := t.advance(ctx); err != nil {
		return err
	}
	t.retried = time.Time{} // the next page without delay
	if len(topics) > 0 {
		return t.releaseTopic(ctx, topics[0])
	}
	return t.releaseKeys(ctx, keys)
}

func (t *term) releaseTopic(ctx context.Context, topic string) error {
	batch := t.batch(t.options.BatchRows)
	batch.Origin = source.Released
	if err := t.session.ReadParkedTopic(ctx, topic, t.quarantine.after[topic], t.options.BatchRows, batch); err != nil {
		return err
	}
	n := len(batch.Rows)
	if n > 0 {
		t.quarantine.after[topic] = batch.Rows[n-1].ID
	}
	if n < t.options.BatchRows {
		t.log.Info("the rows of a topic flow again", "topic", topic)
		t.quarantine.remove(lane{topic: topic, whole: true})
	}
	t.enqueue(batch)
	return nil
}

func (t *term) releaseKeys(ctx context.Context, lanes []lane) error {
	batch := t.batch(t.options.BatchRows)
	batch.Origin = source.Released
	topics, keys := make([]string, len(lanes)), make([]string, len(lanes))
	for i, l := range lanes {
		topics[i], keys[i] = l.topic, l.key
	}
	if err := t.session.ReadParkedKeys(ctx, topics, keys, t.quarantine.afterKeys, t.options.BatchRows, batch); err != nil {
		return err
	}
	if n := len(batch.Rows); n < t.options.BatchRows {
		for _, l := range lanes {
			t.quarantine.remove(l)
		}
	} else {
		t.quarantine.afterKeys = batch.Rows[n-1].ID
	}
	t.enqueue(batch)
	return nil
}

// compareLanes releases the lanes whose stuck row is gone from the database.
func (t *term) compareLanes(ctx context.Context) error {
	if t.now.Sub(t.compared) < compareEvery || len(t.probing) > 0 {
		return nil
	}
	t.compared = t.now
	heads, err := t.session.Heads(ctx)
	if err != nil {
		return err
	}
	stuck := newQuarantine(heads, nil)
	for l, state := range t.quarantine.lanes {
		if state == laneStuck && stuck.state(l) == 0 {
			t.release(l)
		}
	}
	return nil
}

// sweep publishes rows that became visible after their ids were given up, which nothing that Postgres shows can rule
// out: an id drawn in one transaction and inserted in another. Their order is lost; they are not.
func (t *term) sweep(ctx context.Context) error {
	now := time.Now()
	if t.paused || now.Sub(t.swept) < t.options.Sweep || t.underWay(source.Late) {
		return nil
	}
	t.swept = now
	batch := t.batch(0)
	batch.Origin = source.Late
	next, err := t.session.ReadLate(ctx, t.lateFrom, t.options.BatchRows, batch)
	if err != nil {
		return err
	}
	t.lateFrom = next
	for _, row := range batch.Rows {
		t.late.Inc()
		t.log.Warn("a row came after its id was given up as rolled back; publishing it, perhaps out of order", "id", row.ID)
	}
	t.enqueue(batch)
	return nil
}

// underWay says whether a batch of this origin is in flight.
func (t *term) underWay(origin source.Origin) bool {
	return slices.ContainsFunc(t.batches, func(b *source.Batch) bool { return b.Origin == origin })
}

// enqueue takes a batch that is not new into the flight.
func (t *term) enqueue(batch *source.Batch) {
	if len(batch.Rows) == 0 {
		return
	}
	batch.At = t.now
	t.charge(batch.Bytes())
	t.batches = append(t.batches, batch)
	for _, row := range batch.Rows {
		t.flows.enqueue(t.arrive(row), row)
	}
}
