// Package explain answers, for any order, why it is where it is: what its saga waits for, what
// stands in the way, what will happen next and when; with one timeline over all services.
//
// It is pure: [Diagnose] turns [Evidence] into a [Report]. The package collect below it gathers the
// evidence: from the orchestrator's own database, and over HTTP from Orders, Inventory and the
// relay. What could not be asked is named in the report; nothing is guessed in its place.
package explain

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
	"waybill.example/sdk/saga"
)

// Report is the answer.
type Report struct {
	ID      string `json:"id"`
	State   string `json:"state" doc:"The saga's state; NOT_STARTED where there are messages but no saga yet"`
	Summary string `json:"summary" doc:"Where it stands, in a sentence"`
	// Obstacles is what stands in the way of each wait.
	Obstacles   []string      `json:"obstacles,omitempty" doc:"What stands in the way, as far as it can be seen"`
	Next        []string      `json:"next,omitempty" doc:"What will happen, and when, if nothing else does"`
	Advice      []string      `json:"advice,omitempty" doc:"What a person can do, as commands"`
	Waits       []saga.Wait   `json:"waits,omitempty"`
	Timeline    []Event       `json:"timeline" nullable:"false" doc:"What happened in all services, oldest first"`
	Sources     []SourceState `json:"sources" nullable:"false" doc:"What was asked"`
	Bill        *Bill         `json:"bill,omitempty" doc:"Where its time went; absent where no message of it is known"`
	ExplainedAt time.Time     `json:"explainedAt"`

	shard contracts.Shard // of the databases that Advice names
}

// Without is a report whose texts are those that text makes of them, which hides what they quote.
// What happened is described without what was ordered, and what an operator or a message said.
func (r Report) Without(text func(string) string) Report {
	all := func(texts []string) []string {
		texts = slices.Clone(texts)
		for i := range texts {
			texts[i] = text(texts[i])
		}
		return texts
	}
	if r.State == NotKept { // what became of it is in the timeline, without why
		before, _, _ := strings.Cut(r.Summary, ": ")
		r.Summary = before + "."
	}
	r.Summary, r.Obstacles, r.Next, r.Timeline = text(r.Summary), all(r.Obstacles), all(r.Next), slices.Clone(r.Timeline)
	for i, e := range r.Timeline {
		switch e.Kind {
		case "accepted", "became": // what was ordered and for whom, and why it was refused
			e.What, _, _ = strings.Cut(e.What, ": ")
		case "decided":
			e.What, _, _ = strings.Cut(e.What, " (")
		}
		r.Timeline[i].What = text(e.What)
	}
	return r
}

// couldNotUse begins why a consumer set a message aside.
const couldNotUse = " could not use "

// Unquoted is a line of a report with something instead of why a message was set aside, which may
// quote the message.
func Unquoted(line, instead string) string {
	before, _, quotes := strings.Cut(line, couldNotUse)
	if !quotes {
		return line
	}
	return before + couldNotUse + instead
}

// Event is one thing that happened somewhere.
type Event struct {
	At        time.Time  `json:"at"`
	Source    string     `json:"source" doc:"The service or database that knows of it"`
	Kind      string     `json:"kind" doc:"accepted, sent, published, handled, decided or became"`
	What      string     `json:"what"`
	MessageID *uuid.UUID `json:"messageId,omitempty"`
	Status    string     `json:"status,omitempty" doc:"Of a message sent: published, pending, stuck or parked"`
	Topic     string     `json:"topic,omitempty"`
	Partition *int32     `json:"partition,omitempty"`
	Offset    *int64     `json:"offset,omitempty"`
	AfterMS   float64    `json:"afterMs" doc:"Milliseconds since the event before"`
}

// SourceState says whether a source could be asked.
type SourceState struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty" doc:"Why it did not answer: what it knows is missing here"`
}
