package relay

import (
	"time"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// convict sets a row aside as stuck. Later rows of its key, or of its whole topic, park behind it.
func (t *term) convict(row *source.Row, refusal *publish.Refusal) {
	t.anyStuck = true
	stuck := source.Stuck{Code: refusal.Code, Error: refusal.Reason, Whole: refusal.WholeTopic}
	if l, ok := laneOf(row.Topic, keyOf(row), refusal.WholeTopic); ok {
		t.quarantine.stick(l)
	}
	if refusal.WholeTopic {
		f := t.flows.of(row.Topic)
		f.refusal, f.exists, f.askAgain = nil, false, time.Time{}
		delete(t.waiting, row.Topic)
	}
	t.setAside(row, stuck)
	if now := time.Now(); now.Sub(t.told) > time.Second {
		t.told = now
		t.log.Warn("a row is stuck (told once a second)", "id", row.ID, "topic", row.Topic, "key", string(row.Key),
			"code", refusal.Code, "error", refusal.Reason, "whole_topic", refusal.WholeTopic)
	}
}

// park sets a row aside because an earlier row of its key or topic is stuck, or its topic waits.
func (t *term) park(row *source.Row) {
	stuck := source.Stuck{Parked: true}
	if t.quarantine.state(lane{topic: row.Topic, whole: true}) == laneWaiting {
		stuck.Code, stuck.Error = "WAITING", "the broker takes no rows of topic "+row.Topic+" now"
	}
	t.setAside(row, stuck)
}

func (t *term) setAside(row *source.Row, stuck source.Stuck) {
	stuck.ID, stuck.Topic, stuck.Key = row.ID, row.Topic, keyOf(row)
	t.step.Stuck = append(t.step.Stuck, stuck)
	row.Aside = true
	t.stuck.Inc()
	t.settle(row)
}

func keyOf(row *source.Row) *string {
	if row.Key == nil {
		return nil
	}
	return new(string(row.Key))
}
