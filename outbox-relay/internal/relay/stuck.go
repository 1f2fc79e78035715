package relay

import (
	"log/slog"
	"time"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// convict sets a row aside as stuck. Later rows of its key, or of its whole topic, park behind it.
func (l *loop) markStuck(row *source.Row, refusal *publish.PermanentError) {
	l.anyStuck = true
	stuck := source.Stuck{Code: refusal.Code, Error: refusal.Reason, Whole: refusal.WholeTopic}
	if ln, ok := laneOf(row.Topic, keyOf(row), refusal.WholeTopic); ok {
		l.quarantine.stick(ln)
	}
	if refusal.WholeTopic {
		f := l.flows.of(row.Topic)
		f.refusal, f.exists, f.askAgain = nil, false, time.Time{}
		delete(l.waiting, row.Topic)
	}
	l.quarantineRow(row, stuck)
	if now := time.Now(); now.Sub(l.lastLogged) > time.Second {
		l.lastLogged = now
		l.logAbout(row).Warn("a row is stuck (logged once per second)", "code", refusal.Code,
			"error", refusal.Reason, "whole_topic", refusal.WholeTopic)
	}
}

// logAbout is a logger whose lines name the row.
func (l *loop) logAbout(row *source.Row) *slog.Logger {
	return slog.New(l.log.Handler().WithAttrs(row.LogAttrs()))
}

// park sets a row aside because an earlier row of its key or topic is stuck, or its topic waits.
func (l *loop) park(row *source.Row) {
	stuck := source.Stuck{Parked: true}
	if l.quarantine.state(lane{topic: row.Topic, whole: true}) == laneWaiting {
		stuck.Code, stuck.Error = "WAITING", "the broker takes no rows of topic "+row.Topic+" now"
	}
	l.quarantineRow(row, stuck)
}

func (l *loop) quarantineRow(row *source.Row, stuck source.Stuck) {
	stuck.ID, stuck.Topic, stuck.Key = row.ID, row.Topic, keyOf(row)
	l.step.Stuck = append(l.step.Stuck, stuck)
	row.Quarantined = true
	l.stuck.Inc()
	l.complete(row)
}

// text is a key in a log line.
func text(key *string) string {
	if key == nil {
		return ""
	}
	return *key
}

func keyOf(row *source.Row) *string {
	if row.Key == nil {
		return nil
	}
	return new(string(row.Key))
}
