package overview

import (
	"fmt"
	"time"

	"waybill.example/orchestrator/console/internal/page"
)

// attention is something that needs a person.
type attention struct {
	Text string `json:"text"`
	// Path is where in the console more is to be seen, and something can be done; empty: nowhere.
	Path string `json:"path,omitempty"`
	Bad  bool   `json:"bad"` // something stands still; otherwise it is slow, or was done on purpose
}

// lateAfter is how long a row may wait before it is worth a word: the relay is done with it in
// milliseconds.
const lateAfter = 30 * time.Second

// needs lists what needs a person, what stands still first.
func needs(d data) []attention {
	var bad, slow []attention
	stands := func(path, format string, args ...any) {
		bad = append(bad, attention{fmt.Sprintf(format, args...), path, true})
	}
	notice := func(path, format string, args ...any) {
		slow = append(slow, attention{fmt.Sprintf(format, args...), path, false})
	}
	for _, h := range d.Health {
		switch {
		case h.Silent != "":
			stands("", "%s does not answer", h.Service)
		case !h.Ready && !h.Asked:
			stands("", "%s is not ready", h.Service)
		}
	}
	if n := d.Sagas.Stuck; n > 0 {
		stands("/sagas?stuck=true", "%s a person", count(n, "saga needs", "sagas need"))
	}
	for _, o := range d.Outboxes {
		at := page.Path("/outbox/%s", o.Database)
		switch {
		case o.Unreachable:
			stands(at, "the relay cannot reach the database %s", o.Database)
		case o.Paused:
			notice(at, "the outbox of %s is paused", o.Database)
		case o.OldestPending != nil && time.Since(*o.OldestPending) > lateAfter:
			notice(at, "%s of %s wait to be published", count(o.Pending, "row", "rows"), o.Database)
		}
		if o.Stuck > 0 {
			stands(at, "%s of %s the broker refuses", count(o.Stuck, "row", "rows"), o.Database)
		}
	}
	for _, r := range d.Relays {
		if r.Problem != "" {
			stands(page.Path("/outbox/%s", r.Database), "%s: %s", r.Database, r.Problem)
		}
	}
	for _, l := range d.Letters {
		if l.Dead > 0 {
			stands("/dead-letters?service="+l.Service, "%s of %s", count(l.Dead, "dead letter", "dead letters"), l.Service)
		}
	}
	if n := d.Sagas.Overdue; n > 0 {
		notice("/sagas?overdue=true", "%s past the deadline", count(n, "saga is", "sagas are"))
	}
	return append(bad, slow...)
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
