package relay

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"waybill/outbox-relay/internal/publish"
	"waybill/outbox-relay/internal/source"
)

// How often stuck rows that are due are looked for, how many are tried at a time, and how long that may keep
// other rows waiting.
const (
	retryEvery = 250 * time.Millisecond
	retryRows  = 500
	retryTime  = 100 * time.Millisecond
)

// retry tries stuck rows that are due, one by one, and releases the parked rows of keys that have no stuck row any
// more. It comes right after advance, so that the database knows of every row that was set aside.
//
// A key stays among stuckKeys until a look at the database shows no parked row of it. Nothing can be parked between
// that look and the key's removal, because both are steps of this one goroutine.
func (t *term) retry(ctx context.Context) error {
	now := time.Now()
	if !t.anyStuck || t.paused || now.Sub(t.retried) < retryEvery || t.blockedUp() {
		return nil
	}
	t.retried = now
	if err := t.retryDue(ctx); err != nil {
		return err
	}
	if err := t.releaseParked(ctx); err != nil {
		return err
	}
	if len(t.stuckKeys) > 0 {
		return nil
	}
	var err error
	t.anyStuck, err = t.session.AnyStuck(ctx)
	return err
}

func (t *term) retryDue(ctx context.Context) error {
	due, err := t.session.Due(ctx, min(retryRows, t.options.BatchRows))
	if err != nil || len(due) == 0 {
		return err
	}
	var ids []int64
	for _, d := range due {
		if d.Discarded {
			t.gone(d)
		} else {
			ids = append(ids, d.ID)
		}
	}
	batch := t.batch()
	defer t.recycle(batch)
	if err := t.session.ReadByID(ctx, ids, batch); err != nil {
		return err
	}
	rows := make(map[int64]*source.Row, len(batch.Rows))
	for i := range batch.Rows {
		rows[batch.Rows[i].ID] = &batch.Rows[i]
	}
	began := time.Now()
	for _, d := range due {
		row := rows[d.ID]
		if d.Discarded || row == nil {
			continue
		}
		answered, err := t.retryOne(ctx, d, row)
		if err != nil {
			return err
		}
		if !answered || time.Since(began) > retryTime {
			break
		}
	}
	return t.advance(ctx)
}

// retryOne tries a stuck row, and says whether the broker had an answer.
func (t *term) retryOne(ctx context.Context, due source.Due, row *source.Row) (answered bool, err error) {
	refusal := t.refusedTopic(row.Topic)
	if refusal == nil {
		if row.Deferred {
			if err := t.session.LoadPayload(ctx, row); err != nil {
				return false, err
			}
		}
		err = t.ask(ctx, row)
		switch {
		case err == nil:
			t.published.Inc()
			t.log.Info("a stuck row is published", "id", row.ID, "topic", row.Topic)
			t.gone(due)
			return true, nil
		case !errors.As(err, &refusal):
			t.brokerSays(err)
			return false, nil
		}
		if refusal.WholeTopic {
			t.refused[row.Topic] = refusedTopic{refusal, time.Now().Add(refusedFor)}
		}
	}
	t.step.Stuck = append(t.step.Stuck, source.Stuck{ID: row.ID, Key: due.Key, Topic: row.Topic, Code: refusal.Code, Error: refusal.Reason})
	return true, nil
}

// ask sends a row alone and returns what the broker says.
func (t *term) ask(ctx context.Context, row *source.Row) (err error) {
	if t.prober == nil {
		t.prober, err = publish.OpenProber(t.kafka, t.name, t.log)
		if err != nil {
			return err
		}
	}
	return t.prober.Probe(ctx, row)
}

// gone lets the followers of a stuck row go, which is published or discarded.
func (t *term) gone(due source.Due) {
	t.step.Released = append(t.step.Released, due.ID)
	if due.Key != nil {
		t.releasing[*due.Key] = struct{}{}
	}
}

// releaseParked reads parked rows whose turn has come and queues them like new ones. One batch of them is under way
// at a time, so that a key's parked rows are read again only when those read before are settled in the database.
func (t *term) releaseParked(ctx context.Context) error {
	if len(t.releasing) == 0 || t.underWay(source.Released) {
		return nil
	}
	batch := t.batch()
	batch.Origin = source.Released
	if err := t.session.ReadParked(ctx, slices.Collect(maps.Keys(t.releasing)), t.options.BatchRows, batch); err != nil {
		return err
	}
	if len(batch.Rows) < t.options.BatchRows {
		waiting := make(map[string]struct{})
		for i := range batch.Rows {
			waiting[string(batch.Rows[i].Key)] = struct{}{}
		}
		for key := range t.releasing {
			if _, ok := waiting[key]; !ok {
				delete(t.releasing, key)
				delete(t.stuckKeys, key)
			}
		}
	}
	t.enqueue(batch)
	t.retried = time.Time{} // the next page, or the end of it, without delay
	return nil
}

// sweep publishes rows that became visible after their ids were given up, which nothing that Postgres shows can rule
// out: an id drawn in one transaction and inserted in another. Their order is lost; they are not.
func (t *term) sweep(ctx context.Context) error {
	now := time.Now()
	if t.paused || now.Sub(t.swept) < t.options.Sweep || t.blockedUp() || t.underWay(source.Late) {
		return nil
	}
	t.swept = now
	batch := t.batch()
	batch.Origin = source.Late
	next, err := t.session.ReadLate(ctx, t.lateFrom, t.options.BatchRows, batch)
	if err != nil {
		return err
	}
	t.lateFrom = next
	for i := range batch.Rows {
		t.late.Inc()
		t.log.Warn("a row came after its id was given up as rolled back; publishing it, perhaps out of order", "id", batch.Rows[i].ID)
	}
	t.enqueue(batch)
	return nil
}

// blockedUp says whether rows wait for the producer, behind which others have no place.
func (t *term) blockedUp() bool { return len(t.queue) > 0 || t.broken != nil }

// underWay says whether a batch of this origin is in flight.
func (t *term) underWay(origin source.Origin) bool {
	return slices.ContainsFunc(t.batches, func(b *source.Batch) bool { return b.Origin == origin })
}

// enqueue takes a batch that is not new into the flight.
func (t *term) enqueue(batch *source.Batch) {
	if len(batch.Rows) == 0 {
		t.recycle(batch)
		return
	}
	t.bytes += batch.Bytes
	t.rows += len(batch.Rows)
	t.batches = append(t.batches, batch)
	for i := range batch.Rows {
		t.queue = append(t.queue, &batch.Rows[i])
	}
}

func (t *term) recycle(batch *source.Batch) {
	batch.Reset()
	t.spare = append(t.spare, batch)
}
