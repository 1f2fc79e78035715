package relay

import (
	"context"
	"time"

	"waybill.example/outbox-relay/internal/source"
)

// releaseParked reads parked rows whose turn has come and queues them like new ones. One batch of
// them is under way at a time, so that rows are read again only when those read before are
// completed in the database. A lane ends when its last parked rows are in the queue: what comes
// later is sent after them.
func (l *loop) releaseParked(ctx context.Context) error {
	if l.underWay(source.Released) || l.space() == 0 {
		return nil
	}
	topics, keys := l.quarantine.releasing(func(topic string) bool {
		f := l.flows.of(topic)
		return len(f.queue) == 0 && f.isolator == nil
	})
	if len(topics)+len(keys) == 0 {
		return nil
	}
	if err := l.advance(ctx); err != nil {
		return err
	}
	l.retried = time.Time{} // the next page without delay
	if len(topics) > 0 {
		return l.releaseTopic(ctx, topics[0])
	}
	return l.releaseKeys(ctx, keys)
}

func (l *loop) releaseTopic(ctx context.Context, topic string) error {
	batch := l.batch(l.options.BatchRows)
	batch.Origin = source.Released
	if err := l.session.ReadParkedTopic(ctx, topic, l.quarantine.after[topic], l.options.BatchRows, batch); err != nil {
		return err
	}
	n := len(batch.Rows)
	if n > 0 {
		l.quarantine.after[topic] = batch.Rows[n-1].ID
	}
	if n < l.options.BatchRows {
		l.log.InfoContext(ctx, "the rows of a topic flow again", "topic", topic)
		l.quarantine.remove(lane{topic: topic, whole: true})
	}
	l.enqueue(batch)
	return nil
}

func (l *loop) releaseKeys(ctx context.Context, lanes []lane) error {
	batch := l.batch(l.options.BatchRows)
	batch.Origin = source.Released
	topics, keys := make([]string, len(lanes)), make([]string, len(lanes))
	for i, ln := range lanes {
		topics[i], keys[i] = ln.topic, ln.key
	}
	if err := l.session.ReadParkedKeys(ctx, topics, keys, l.quarantine.afterKeys, l.options.BatchRows, batch); err != nil {
		return err
	}
	if n := len(batch.Rows); n < l.options.BatchRows {
		for _, ln := range lanes {
			l.quarantine.remove(ln)
		}
	} else {
		l.quarantine.afterKeys = batch.Rows[n-1].ID
	}
	l.enqueue(batch)
	return nil
}

// compareLanes releases the lanes whose stuck row is gone from the database.
func (l *loop) compareLanes(ctx context.Context) error {
	if l.now.Sub(l.compared) < compareEvery || len(l.probing) > 0 {
		return nil
	}
	l.compared = l.now
	heads, err := l.session.Heads(ctx)
	if err != nil {
		return err
	}
	stuck := newQuarantine(heads, nil)
	for ln, state := range l.quarantine.lanes {
		if state == laneStuck && stuck.state(ln) == 0 {
			l.release(ln)
		}
	}
	return nil
}
