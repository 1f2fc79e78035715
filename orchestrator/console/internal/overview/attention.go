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
func (o *overview) needs(d data) []attention {
	var bad, slow []attention
	stands := func(path, format string, args ...any) {
		bad = append(bad, attention{fmt.Sprintf(format, args...), path, true})
	}
	notice := func(path, format string, args ...any) {
		slow = append(slow, attention{fmt.Sprintf(format, args...), path, false})
	}
	processes := "/#health"
	if o.breakable {
		processes = "/break-it"
	}
	locked := map[string]bool{}
	for _, c := range d.Consumers {
		if c.Blocked == "lock" && !locked[c.Service] {
			locked[c.Service] = true
			stands("/locks", "%s waits for a lock that another session holds", c.Service)
		}
	}
	for _, h := range d.Health {
		switch {
		case h.Silent != "":
			stands(processes, "%s does not answer: it is down, frozen or unreachable", h.Service)
		case !h.Ready && !h.Asked && !locked[h.Service]:
			stands("/#health", "%s is not ready", h.Service)
		}
	}
	if d.Audit.Found > 0 {
		stands("/#audit", "the audit found %s as promised", count(int64(d.Audit.Found), "thing that is not", "things that are not"))
	}
	if n := d.Sagas.Stuck; n > 0 {
		stands("/sagas?stuck=true", "%s a person", count(n, "saga needs", "sagas need"))
	}
	for _, b := range d.Outboxes {
		at := page.Path("/outbox/%s", b.Database)
		switch {
		case b.Unreachable:
			stands(at, "the relay cannot reach the database %s", b.Database)
		case b.Paused:
			notice(at, "the outbox of %s is paused", b.Database)
		case b.OldestPending != nil && time.Since(*b.OldestPending) > lateAfter:
			notice(at, "%s of %s wait to be published", count(b.Pending, "row", "rows"), b.Database)
		}
		if b.Stuck > 0 {
			stands(at, "%s of %s the broker refuses", count(b.Stuck, "row", "rows"), b.Database)
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
