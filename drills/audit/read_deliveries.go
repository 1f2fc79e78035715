package audit

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
)

// readMail reads in the order that makes the comparison sound: what the relay counts as published
// before the topics were read must be on them; and a message that is on them has had its row
// committed before the rows are read. It returns the orders that an OrderCreated reports.
func (a *Auditor) readMail(ctx context.Context, began time.Time) (created []int64, err error) {
	wiped, err := a.topics.look(ctx)
	if err == nil && wiped {
		err = a.restart() // what was done with is not, with its messages gone
	}
	if err != nil {
		return nil, err
	}
	open, published := map[string][]int64{}, map[string]map[int64]bool{}
	for _, name := range names {
		open[name] = a.deliveries.open(name)
		if published[name], err = a.databases.published(ctx, name, a.scanned[name], open[name]); err != nil {
			return nil, err
		}
	}
	messages, err := a.topics.read(ctx)
	if err != nil {
		return nil, err
	}
	messages = slices.DeleteFunc(messages, func(m message) bool { return !a.cfg.Shard.Owns([]byte(m.Key)) })
	// Rows are kept with the messages, so that a pass that fails here loses neither.
	a.observed = append(a.observed, messages...)
	for _, name := range names {
		rows, err := a.databases.rows(ctx, name, a.scanned[name], open[name], published[name])
		if err != nil {
			return nil, err
		}
		if err := a.recall(ctx, name, rows); err != nil {
			return nil, err
		}
		a.deliveries.expire(name, open[name], rows)
		added := a.deliveries.record(rows, a.results)
		created = append(created, orderIDs(added)...)
		a.reopen(added)
		a.advance(name, began, rows)
	}
	unknown := a.deliveries.observe(a.observed, a.results)
	a.observed = nil
	return created, a.identify(ctx, unknown)
}

// restart begins from nothing, as an audit that has just been started.
func (a *Auditor) restart() error {
	a.deliveries = newDeliveries(a.cfg.Unordered)
	clear(a.scanned)
	clear(a.seen)
	a.observed = nil
	return a.topics.restart()
}

// recall reads what was forgotten of the keys of rows that are new.
func (a *Auditor) recall(ctx context.Context, name string, rows []row) error {
	if a.scanned[name] == 0 {
		return nil
	}
	keys := map[string]bool{}
	for _, w := range rows {
		if _, known := a.deliveries.deliveries[messageKey{w.EventID, w.Topic}]; !known && w.Key != "" {
			keys[w.Key] = true
		}
	}
	for some := range slices.Chunk(slices.Collect(maps.Keys(keys)), questionBatch) {
		older, err := a.databases.older(ctx, name, a.scanned[name], some)
		if err != nil {
			return err
		}
		a.deliveries.recall(older)
	}
	return nil
}

// sighting is the highest id of an outbox at the time of a pass.
type sighting struct {
	at time.Time
	id int64
}

// advance leaves rows behind that need not be read again: those that were there for a while
// already, by our own clock. Of them only the ones that are still waited for are asked for, by
// their ids.
func (a *Auditor) advance(name string, began time.Time, rows []row) {
	highest := a.scanned[name]
	for _, w := range rows {
		highest = max(highest, w.ID)
	}
	seen := append(a.seen[name], sighting{began, highest})
	for len(seen) > 0 && began.Sub(seen[0].at) >= a.cfg.recent() {
		a.scanned[name] = max(a.scanned[name], seen[0].id)
		seen = seen[1:]
	}
	a.seen[name] = seen
}

// reopen has the orders judged again that new messages are about, such as one that is cancelled
// after it was confirmed.
func (a *Auditor) reopen(rows []row) {
	for _, w := range rows {
		if id, err := strconv.ParseInt(w.Key, 10, 64); err == nil && id > 0 && id <= a.lastOrder {
			a.open[id] = true
		}
	}
}

// orderIDs returns the orders that an OrderCreated reports.
func orderIDs(rows []row) (ids []int64) {
	for _, w := range rows {
		if w.Type == string(contracts.TypeOrderCreated) && w.Topic == contracts.TopicOrders {
			if id, err := strconv.ParseInt(w.Key, 10, 64); err == nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// identify finds out where messages come from that no remembered row has sent.
func (a *Auditor) identify(ctx context.Context, messages []message) error {
	if len(messages) == 0 {
		return nil
	}
	keys, ids := make([]string, len(messages)), make([]uuid.UUID, len(messages))
	for i, m := range messages {
		keys[i], ids[i] = m.Key, m.EventID
	}
	known := map[uuid.UUID]bool{}
	for _, name := range names {
		rows, err := a.databases.rowsByKey(ctx, name, keys, ids)
		if err != nil {
			return err
		}
		for _, w := range rows {
			known[w.EventID] = true
		}
	}
	since, err := a.databases.remembered(ctx)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if known[m.EventID] || m.Time.Before(since) || a.cfg.foreign(m) {
			continue
		}
		a.results.keep(Origin, m.subject(), repairShowMessage(m), "event %s, key %q: no outbox has such a row", m.EventID, m.Key)
	}
	return nil
}

// questionBatch bounds the ids of one question.
const questionBatch = 5000

func (a *Auditor) readHandled(ctx context.Context) error {
	for topic, c := range consumers {
		var waiting []uuid.UUID
		deliveries := map[uuid.UUID]*delivery{}
		for _, l := range a.deliveries.deliveries {
			if _, expected := l.handledBy(); expected && l.Topic == topic && l.delivered && !l.handled {
				waiting, deliveries[l.inboxID()] = append(waiting, l.inboxID()), l
			}
		}
		for ids := range slices.Chunk(waiting, questionBatch) {
			handled, err := a.databases.handled(ctx, c, ids)
			if err != nil {
				return err
			}
			for _, id := range handled {
				deliveries[id].handled = true
			}
		}
	}
	return nil
}
