package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill.example/sdk/saga/runner/inspect"
)

// timeline merges what all sources know, by time. The clocks are those of the databases; where they
// differ, so do the gaps.
func (s Evidence) timeline() []Event {
	events := []Event{}
	for _, service := range s.Services {
		for _, fact := range service.Facts {
			events = append(events, Event{At: fact.At, Source: service.Name, Kind: fact.Kind, What: fact.What})
		}
	}
	published := map[Place]Event{} // once, however many have handled it
	for _, f := range s.Databases {
		for _, m := range f.Sent {
			events = append(events, Event{
				At: m.CreatedAt, Source: f.Name, Kind: "sent", Status: m.Status, Topic: m.Topic, MessageID: &m.EventID,
				What: fmt.Sprintf("%s committed as outbox row %d for %s, %s", m.Type, m.ID, m.Topic, m.Status),
			})
		}
		for _, h := range f.Deliveries {
			if record, known := s.Records[Place{h.Topic, h.Partition, h.Offset}]; known {
				published[Place{h.Topic, h.Partition, h.Offset}] = Event{
					At: record.At, Source: RelayName, Kind: "published", Topic: h.Topic, Partition: &h.Partition, Offset: &h.Offset, MessageID: &h.EventID,
					What: fmt.Sprintf("%s published to %s/%d, offset %d", s.nameOf(h), h.Topic, h.Partition, h.Offset),
				}
			}
			events = append(events, Event{
				At: h.At, Source: f.Name, Kind: "handled", Topic: h.Topic, Partition: &h.Partition, Offset: &h.Offset, MessageID: &h.EventID,
				What: fmt.Sprintf("%s handled by %s from %s/%d, offset %d", s.nameOf(h), h.Consumer, h.Topic, h.Partition, h.Offset),
			})
		}
	}
	for _, place := range slices.SortedFunc(maps.Keys(published), comparePlaces) {
		events = append(events, published[place])
	}
	for _, l := range s.History {
		events = append(events, Event{At: l.At, Source: OwnDatabase, Kind: "decided", MessageID: l.CauseID, What: decided(l)})
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.At.Compare(b.At) })
	for i := range events {
		events[i].At = events[i].At.UTC()
		if i > 0 {
			events[i].AfterMS = float64(events[i].At.Sub(events[i-1].At).Microseconds()) / 1000
		}
	}
	return events
}

func comparePlaces(a, b Place) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

// nameOf finds the type of a message that was handled.
func (s Evidence) nameOf(h Delivery) string {
	for _, f := range s.Databases {
		for _, m := range f.Sent {
			if m.EventID == h.EventID {
				return m.Type
			}
		}
	}
	for _, l := range s.History { // the sender may be unknown, or its outbox may have forgotten the message
		if l.CauseID != nil && *l.CauseID == h.EventID {
			return l.CauseType
		}
	}
	return "message"
}

func decided(l inspect.Line) string {
	what := fmt.Sprintf("saga %s on %s", strings.ReplaceAll(l.Kind, "_", " "), l.CauseType)
	if l.Step != "" {
		what += ", step " + l.Step
	}
	if l.From != l.To && l.From != "" {
		what += fmt.Sprintf(": %s → %s", l.From, l.To)
	} else {
		what += ": " + l.To
	}
	if l.Actor != "" {
		what += ", by " + l.Actor
	}
	if l.Note != "" {
		what += " (" + l.Note + ")"
	}
	return what
}
