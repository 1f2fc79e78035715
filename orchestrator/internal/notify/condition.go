package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Condition is a cause for which a person is needed, with everything that has it.
type Condition struct {
	// Key names the cause, and is the same as long as it lasts.
	Key string
	// Source is what has to be asked to know that it is over.
	Source string
	// Subject is what it is about, in a few words: 312 sagas of order@1.
	Subject string
	// Count is how many have it.
	Count int64
	// Urgent conditions do not pass by themselves, and are reported at once.
	Urgent bool
	Detail Detail
}

// Detail is what a person reads.
type Detail struct {
	// Summary says what is the matter, in a sentence or two.
	Summary string `json:"summary"`
	// Obstacles say what stands in the way, as far as it can be seen.
	Obstacles []string `json:"obstacles,omitempty"`
	// Commands are what can be done, to be run in a shell.
	Commands []string `json:"commands,omitempty"`
	// Example is the id of one that has it.
	Example string `json:"example,omitempty"`
}

// Episode is a condition while it lasts.
type Episode struct {
	Key, Source, Subject string
	Since                time.Time
	Count, Announced     int64
}

// Notification is one thing to tell.
type Notification struct {
	ID      uuid.UUID
	Type    string
	Subject string
	Event   []byte
}

// Types of notifications. Reverse DNS, as CloudEvents recommends.
const (
	TypeNeeded   = "example.waybill.attention.needed"
	TypeResolved = "example.waybill.attention.resolved"
	TypeTest     = "example.waybill.attention.test"
)

// growth is by which factor a condition has to grow to be reported again.
const growth = 10

// decide returns the episodes that are open after a look at conditions, and what there is to tell:
// conditions that have lasted for after, or grew tenfold, and the end of those that were reported.
// An episode ends only if its source was asked.
func decide(open []Episode, conditions []Condition, asked []string, now time.Time, after time.Duration) (next []Episode, tell []Notification) {
	before := map[string]Episode{}
	for _, e := range open {
		before[e.Key] = e
	}
	for _, c := range conditions {
		e, known := before[c.Key]
		delete(before, c.Key)
		if !known {
			e = Episode{Key: c.Key, Since: now}
		}
		e.Source, e.Subject, e.Count = c.Source, c.Subject, c.Count
		lasted := c.Urgent || now.Sub(e.Since) >= after
		if lasted && (e.Announced == 0 || e.Count >= growth*e.Announced) {
			tell = append(tell, needed(c, e, now))
			e.Announced = max(1, e.Count)
		}
		next = append(next, e)
	}
	for _, e := range open {
		_, gone := before[e.Key]
		switch {
		case !gone:
		case !slices.Contains(asked, e.Source):
			next = append(next, e)
		case e.Announced > 0:
			tell = append(tell, resolved(e, now))
		}
	}
	return next, tell
}

func needed(c Condition, e Episode, now time.Time) Notification {
	return event(TypeNeeded, c.Key, c.Subject, now, struct {
		Detail
		Count int64     `json:"count"`
		Since time.Time `json:"since"`
	}{c.Detail, c.Count, e.Since})
}

func resolved(e Episode, now time.Time) Notification {
	summary := fmt.Sprintf("Over after %s: %s.", now.Sub(e.Since).Round(time.Second), e.Subject)
	return event(TypeResolved, e.Key, e.Subject, now, struct {
		Detail
		Since time.Time `json:"since"`
	}{Detail{Summary: summary}, e.Since})
}

// event makes a CloudEvent in structured mode (CloudEvents 1.0.2, JSON event format). Its subject
// is the key of the cause, so that receivers can put the end with the beginning.
func event(kind, key, subject string, now time.Time, data any) Notification {
	id := uuid.New()
	encoded, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": id, "source": "/waybill/orchestrator", "type": kind, "subject": key,
		"time": now.UTC().Format(time.RFC3339Nano), "datacontenttype": "application/json", "data": data,
	})
	if err != nil {
		panic(err) // strings, numbers and times
	}
	return Notification{ID: id, Type: kind, Subject: subject, Event: encoded}
}
