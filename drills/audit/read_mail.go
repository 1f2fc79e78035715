package audit

import (
	"context"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"waybill/contracts"
)

// readMail reads in the order that makes the comparison sound: what the relay counts as published
// before the topics were read must be on them; and a message that is on them has had its row
// committed before the rows are read. It returns the orders that an OrderCreated tells of.
func (a *Auditor) readMail(ctx context.Context) (created []int64, err error) {
	published := map[string]map[int64]bool{}
	for _, name := range names {
		if published[name], err = a.databases.published(ctx, name, a.scanned[name]); err != nil {
			return nil, err
		}
	}
	messages, wiped, err := a.topics.read(ctx)
	if err != nil {
		return nil, err
	}
	if wiped {
		clear(a.mail.last)
	}
	rows := map[string][]row{}
	for _, name := range names {
		if rows[name], err = a.databases.rows(ctx, name, a.scanned[name], published[name]); err != nil {
			return nil, err
		}
		created = append(created, orderIDs(a.mail.post(rows[name], a.results))...)
	}
	unknown := a.mail.arrive(messages, a.results)
	for _, name := range names {
		a.advance(name, rows[name])
	}
	return created, a.identify(ctx, unknown)
}

// advance leaves rows behind that need not be read again: the oldest ones, up to the first that is
// still waited for.
func (a *Auditor) advance(name string, rows []row) {
	for _, w := range rows {
		if w.Age < recent || a.mail.isOpen(w) {
			return
		}
		a.scanned[name] = w.ID
	}
}

// orderIDs returns the orders that an OrderCreated tells of.
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
		if known[m.EventID] || m.Time.Before(since) || a.cfg.Foreign != nil && a.cfg.Foreign(m.EventID, m.Key) {
			continue
		}
		a.results.keep(Origin, m.subject(), repairShowMessage(m), "event %s, key %q: no outbox has such a row", m.EventID, m.Key)
	}
	return nil
}

// inboxBatch bounds the ids of one question to an inbox.
const inboxBatch = 5000

func (a *Auditor) readHandled(ctx context.Context) error {
	for topic, c := range consumers {
		var waiting []uuid.UUID
		for _, l := range a.mail.letters {
			if _, expected := l.handledBy(); expected && l.Topic == topic && l.delivered && !l.handled {
				waiting = append(waiting, l.EventID)
			}
		}
		for ids := range slices.Chunk(waiting, inboxBatch) {
			handled, err := a.databases.handled(ctx, c, ids)
			if err != nil {
				return err
			}
			for _, id := range handled {
				a.mail.letters[address{id, topic}].handled = true
			}
		}
	}
	return nil
}
