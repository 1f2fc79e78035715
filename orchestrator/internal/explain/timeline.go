package explain

import (
	"fmt"
	"slices"
	"strings"

	"waybill.example/sdk/saga/runner/inspect"
)

// timeline lays what all sources know on one line of time. The clocks are
// those of the databases; where they differ, so do the gaps.
func (s Story) timeline() []Moment {
	moments := []Moment{}
	for _, f := range s.Sources {
		for _, fact := range f.Facts {
			moments = append(moments, Moment{At: fact.At, Source: f.Name, Kind: fact.Kind, What: fact.What})
		}
		for _, m := range f.Sent {
			moments = append(moments, Moment{
				At: m.CreatedAt, Source: f.Name, Kind: "sent", Status: m.Status, Topic: m.Topic, MessageID: &m.EventID,
				What: fmt.Sprintf("%s committed as outbox row %d for %s, %s", m.Type, m.ID, m.Topic, m.Status),
			})
		}
		for _, h := range f.Handled {
			moments = append(moments, Moment{
				At: h.At, Source: f.Name, Kind: "handled", Topic: h.Topic, Partition: &h.Partition, Offset: &h.Offset, MessageID: &h.EventID,
				What: fmt.Sprintf("%s handled by %s from %s/%d, offset %d", s.nameOf(h), h.Consumer, h.Topic, h.Partition, h.Offset),
			})
		}
	}
	for _, l := range s.Lines {
		moments = append(moments, Moment{At: l.At, Source: Own, Kind: "decided", MessageID: l.CauseID, What: decided(l)})
	}
	slices.SortStableFunc(moments, func(a, b Moment) int { return a.At.Compare(b.At) })
	for i := range moments {
		moments[i].At = moments[i].At.UTC()
		if i > 0 {
			moments[i].AfterMS = float64(moments[i].At.Sub(moments[i-1].At).Microseconds()) / 1000
		}
	}
	return moments
}

// nameOf finds the type of a message that was handled.
func (s Story) nameOf(h Handled) string {
	for _, f := range s.Sources {
		for _, m := range f.Sent {
			if m.EventID == h.EventID {
				return m.Type
			}
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
