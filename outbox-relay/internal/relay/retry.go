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
	// How often stuck rows that are due are looked for, and how many of them are asked about at
	// once.
	retryEvery = 250 * time.Millisecond
	maxProbes  = 500
	// After how long a row is asked about again that no broker had an answer to.
	noAnswerPause = 2 * time.Second
	// How often lanes are held against the stuck rows, of which people may have deleted some.
	compareEvery = 30 * time.Second
)

// retry asks about stuck rows that are due, and releases the parked rows of lanes that may go. It
// comes right after advance, so that the database knows of every row that was quarantined. Nothing
// here waits for a broker.
func (l *loop) retry(ctx context.Context) error {
	now := time.Now()
	if !l.anyStuck || l.paused || l.down || now.Sub(l.retried) < retryEvery {
		return nil
	}
	l.retried = now
	if err := l.advance(ctx); err != nil {
		return err
	}
	if err := l.probeDue(ctx); err != nil {
		return err
	}
	if err := l.probeWaiting(ctx); err != nil {
		return err
	}
	if err := l.releaseParked(ctx); err != nil {
		return err
	}
	if err := l.compareLanes(ctx); err != nil {
		return err
	}
	if len(l.quarantine.lanes) > 0 || len(l.probing) > 0 {
		return nil
	}
	var err error
	l.anyStuck, err = l.session.AnyStuck(ctx)
	return err
}

// probeDue sends stuck rows that are due through the prober, one of each lane at a time. Rows of a
// lane wait for the row that is tried, so several lanes can be asked about at once.
func (l *loop) probeDue(ctx context.Context) error {
	places := maxProbes - len(l.probing)
	if places <= 0 {
		return nil
	}
	tried := append([]int64{}, slices.Collect(maps.Keys(l.probing))...)
	due, err := l.session.Due(ctx, places, tried, l.notYet())
	if err != nil || len(due) == 0 {
		return err
	}
	asked := map[int64]source.Due{}
	for _, d := range due {
		switch {
		case d.Discarded:
			l.gone(d)
		case !l.ahead(d):
			asked[d.ID] = d
		}
	}
	return l.probe(ctx, asked)
}

// notYet returns the rows that are due by the database's account and are not to be sent yet.
func (l *loop) notYet() []int64 {
	ids := []int64{}
	for id, time := range l.notBefore {
		if l.now.Before(time) {
			ids = append(ids, id)
		} else {
			delete(l.notBefore, id)
		}
	}
	return ids
}

// ahead says whether an earlier row of the same lane is still on its way, which a probe must not
// overtake.
func (l *loop) ahead(d source.Due) bool {
	f := l.flows.of(d.Topic)
	if f.rows == 0 {
		return false
	}
	if d.Whole {
		return true
	}
	for _, b := range l.batches {
		for _, row := range b.Rows {
			if row.State != source.Completed && row.Topic == d.Topic && d.Key != nil && string(row.Key) == *d.Key {
				return true
			}
		}
	}
	return false
}

// probe sends rows alone. Rows that are too long to be sent are not read for it, and rows that are
// gone let their followers go.
func (l *loop) probe(ctx context.Context, asked map[int64]source.Due) error {
	if len(asked) == 0 {
		return nil
	}
	batch := source.NewBatch(len(asked))
	if err := l.session.ReadByID(ctx, slices.Collect(maps.Keys(asked)), batch); err != nil {
		return err
	}
	found := map[int64]bool{}
	for _, row := range batch.Rows {
		found[row.ID] = true
	}
	for id, d := range asked {
		if !found[id] {
			l.log.ErrorContext(ctx, "a stuck row was deleted; its followers go out", "id", id, "topic", d.Topic, "key", text(d.Key))
			l.gone(d)
		}
	}
	return l.probeRows(ctx, batch, asked)
}

func (l *loop) probeRows(ctx context.Context, batch *source.Batch, asked map[int64]source.Due) error {
	bytes := 0
	var load []*source.Row
	for _, row := range batch.Rows {
		if !row.Loaded() && l.flows.of(row.Topic).allowed && row.Body <= l.maxMessage && bytes+row.Body <= loadBytes {
			bytes += row.Body
			load = append(load, row)
		}
	}
	if err := l.session.LoadBodies(ctx, load); err != nil {
		return err
	}
	for _, row := range batch.Rows {
		d := asked[row.ID]
		switch {
		case !l.flows.of(row.Topic).allowed:
			l.refusedAgain(d, publish.NotAllowed(row.Topic))
		case row.Deferred && row.Body > l.maxMessage:
			l.refusedAgain(d, publish.TooLarge(row.Body, l.maxMessage))
		case !row.Loaded(): // at the next look
		default:
			l.probing[row.ID] = d
			send := l.prober.Send
			if d.Whole {
				send = l.prober.SendIfThere
			}
			if err := send(row); err != nil {
				l.probed(publish.Answer{Row: row, Err: err})
			}
			row.Unload()
		}
	}
	return nil
}

// probed takes an answer of the prober.
func (l *loop) probed(a publish.Answer) {
	if a.Row == nil {
		l.lookedUp(a)
		return
	}
	if iso := l.alone[a.Row]; iso != nil {
		l.aloneSays(iso, a.Row, a.Err)
		return
	}
	d, ok := l.probing[a.Row.ID]
	if !ok {
		return
	}
	delete(l.probing, a.Row.ID)
	refusal, refused := errors.AsType[*publish.PermanentError](a.Err)
	switch {
	case a.Err == nil:
		l.published.Inc()
		l.logAbout(a.Row).Info("a stuck row is published")
		l.flows.of(d.Topic).exists = true
		l.gone(d)
		l.brokerSays(nil)
	case refused:
		l.refusedAgain(d, refusal)
	default:
		l.notBefore[d.ID] = time.Now().Add(noAnswerPause)
		if w := l.waiting[d.Topic]; w != nil {
			w.next = l.notBefore[d.ID]
		}
	}
	l.retried = time.Time{} // others may be waiting for the place
}

func (l *loop) refusedAgain(d source.Due, refusal *publish.PermanentError) {
	l.step.Stuck = append(l.step.Stuck, source.Stuck{
		ID: d.ID, Key: d.Key, Topic: d.Topic, Whole: refusal.WholeTopic, Code: refusal.Code, Error: refusal.Reason,
	})
	before, had := laneOf(d.Topic, d.Key, d.Whole)
	after, has := laneOf(d.Topic, d.Key, refusal.WholeTopic)
	if has {
		l.quarantine.stick(after)
	}
	if refusal.WholeTopic {
		delete(l.waiting, d.Topic)
	}
	if had && before != after {
		l.release(before) // it was the topic, and is the row; or the other way round
	}
}

// gone lets the followers of a stuck row go, which is published, discarded or deleted.
func (l *loop) gone(d source.Due) {
	l.step.Released = append(l.step.Released, d.ID)
	if ln, ok := laneOf(d.Topic, d.Key, d.Whole); ok {
		l.release(ln)
	}
}

func (l *loop) release(ln lane) {
	l.quarantine.release(ln)
	if ln.whole {
		delete(l.waiting, ln.topic)
	}
}

// probeWaiting tries the first row of each topic whose broker took none.
func (l *loop) probeWaiting(ctx context.Context) error {
	for topic, w := range l.waiting {
		if l.now.Before(w.next) || l.flows.of(topic).rows > 0 {
			continue
		}
		w.next = l.now.Add(2 * noAnswerPause) // of the answer
		batch := source.NewBatch(1)
		if err := l.session.FirstParked(ctx, topic, batch); err != nil {
			return err
		}
		if len(batch.Rows) == 0 {
			l.release(lane{topic: topic, whole: true})
			continue
		}
		row := batch.Rows[0]
		d := source.Due{ID: row.ID, Topic: topic, Key: keyOf(row), Whole: true}
		if err := l.probeRows(ctx, batch, map[int64]source.Due{d.ID: d}); err != nil {
			return err
		}
	}
	return nil
}

// underWay says whether a batch of this origin is in flight.
func (l *loop) underWay(origin source.Origin) bool {
	return slices.ContainsFunc(l.batches, func(b *source.Batch) bool { return b.Origin == origin })
}

// enqueue takes a batch that is not new into the flight.
func (l *loop) enqueue(batch *source.Batch) {
	if len(batch.Rows) == 0 {
		return
	}
	batch.At = l.now
	l.charge(batch.Bytes())
	l.batches = append(l.batches, batch)
	for _, row := range batch.Rows {
		l.flows.enqueue(l.arrive(row), row)
	}
}
