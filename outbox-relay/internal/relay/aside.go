package relay

import (
	"time"

	"waybill/outbox-relay/internal/publish"
	"waybill/outbox-relay/internal/source"
)

// refusedTopic spares the broker a question for each row of a topic that takes none.
type refusedTopic struct {
	refusal *publish.Refusal
	until   time.Time
}

const refusedFor = time.Second

func (t *term) refusedTopic(topic string) *publish.Refusal {
	refused, ok := t.refused[topic]
	if !ok {
		return nil
	}
	if time.Now().After(refused.until) {
		delete(t.refused, topic)
		return nil
	}
	return refused.refusal
}

// convict sets a row aside as stuck. Later rows of its key park behind it.
func (t *term) convict(row *source.Row, refusal *publish.Refusal) {
	if refusal.WholeTopic {
		t.refused[row.Topic] = refusedTopic{refusal, time.Now().Add(refusedFor)}
	}
	t.anyStuck = true
	if row.Key != nil {
		t.stuckKeys[string(row.Key)] = struct{}{}
		delete(t.releasing, string(row.Key))
	}
	t.setAside(row, source.Stuck{Code: refusal.Code, Error: refusal.Reason})
	if now := time.Now(); now.Sub(t.told) > time.Second {
		t.told = now
		t.log.Warn("a row is stuck (told once a second)", "id", row.ID, "topic", row.Topic, "key", string(row.Key), "code", refusal.Code, "error", refusal.Reason)
	}
}

// blocked says whether a row has to wait for an earlier one of its key. Rows of a key that is being released are parked
// until it is no longer: only the parked ones themselves may go.
func (t *term) blocked(row *source.Row) bool {
	if row.Key == nil || len(t.stuckKeys) == 0 {
		return false
	}
	if row.Batch.Origin == source.Released {
		_, goes := t.releasing[string(row.Key)]
		return !goes
	}
	_, stuck := t.stuckKeys[string(row.Key)]
	return stuck
}

// park sets a row aside because an earlier row of its key is stuck.
func (t *term) park(row *source.Row) { t.setAside(row, source.Stuck{Parked: true}) }

func (t *term) setAside(row *source.Row, stuck source.Stuck) {
	stuck.ID, stuck.Topic = row.ID, row.Topic
	if row.Key != nil {
		key := string(row.Key)
		stuck.Key = &key
	}
	t.step.Stuck = append(t.step.Stuck, stuck)
	row.Aside = true
	t.stuck.Inc()
	t.settle(row)
}
