package saga

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Preview is what an input to a saga would lead to: what is decided at once, and what could follow.
// Nothing has happened.
type Preview struct {
	// Decisions are what the engine would decide: where messages are held for the saga, they come
	// first.
	Decisions []Decision
	// Then are the futures that could follow, one for each reply, event or deadline that may come
	// next.
	Then []Future
	// Truncated says that there are more than fit within the bounds.
	Truncated bool
}

// Future is one thing that may come next to a saga, and what the engine would make of it.
type Future struct {
	// When says what comes: the type of a message, or "no answer" with the deadline.
	When string `json:"when"`
	Step string `json:"step,omitempty"` // the step that it is about
	// Answers is the command that the message answers; zero where it is no reply.
	Answers uuid.UUID `json:"answers,omitzero"`
	// State is the saga's state after it.
	State string `json:"state"`
	// Sends are the types of the commands that would be sent then.
	Sends []string `json:"sends,omitempty"`
	// Unknown says why it is not known what would follow: it depends on what the message says.
	Unknown string   `json:"unknown,omitempty"`
	Then    []Future `json:"then,omitempty"`

	next State
}

// The bounds of a preview.
const (
	// MaxPreviewDepth is how many messages or deadlines a preview looks ahead at most.
	MaxPreviewDepth = 4
	previewFutures  = 200
)

// Preview says what an input would lead to, and up to depth messages or deadlines further, without
// doing it. Like [Registry.Apply], which it asks, it is pure: the first decisions are those that
// Apply makes of the same arguments. The messages that may come are tried with an empty body, since
// nobody knows what they will say; where the definition needs to know, the future says so.
func (r *Registry) Preview(s State, in Input, now time.Time, depth int) (Preview, error) {
	decisions, err := r.Apply(s, in, now)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Decisions: decisions}
	if len(decisions) > 0 {
		s = decisions[len(decisions)-1].State
	}
	left := previewFutures
	p.Then = r.futures(s, now, min(depth, MaxPreviewDepth), &left)
	p.Truncated = left < 0
	return p, nil
}

// futures are what may come next to a saga, breadth first as far as the bound allows.
func (r *Registry) futures(s State, now time.Time, depth int, left *int) []Future {
	d, known := r.Definition(s.Definition, s.Version)
	if depth <= 0 || !known || s.Phase.Ended() || s.Phase == Suspended {
		return nil
	}
	var list []Future
	for _, next := range d.possible(s, now) {
		if *left--; *left < 0 {
			break
		}
		list = append(list, r.future(d, s, next, now))
	}
	for i, f := range list {
		if f.Unknown == "" && *left > 0 {
			list[i].Then = r.futures(f.next, now, depth-1, left)
		}
	}
	return list
}

// possibility is one thing that may happen to a saga that waits.
type possibility struct {
	when, step string
	in         Input
	at         time.Time
}

// possible are the messages that would end one of the saga's waits, and its next deadline.
func (d *Definition) possible(s State, now time.Time) []possibility {
	var list []possibility
	for _, w := range d.Waits(s) {
		for _, reply := range w.Replies {
			list = append(list, possibility{reply, w.Step, Message{
				ID: uuid.NewSHA1(w.CommandID, []byte(reply+"\x00"+w.Step)), Type: reply, Key: s.ID, CausationID: w.CommandID, Data: []byte(`{}`), Time: now,
			}, now})
		}
	}
	if due, waits := s.Deadline(); waits {
		at, when := due, "no answer until "+due.UTC().Format(time.RFC3339)
		if at.Before(now) {
			at, when = now, "no answer: its deadline has passed"
		}
		list = append(list, possibility{when, "", Due{}, at})
	}
	return list
}

// future is what the engine makes of one thing that may happen.
func (r *Registry) future(d *Definition, s State, p possibility, now time.Time) Future {
	f := Future{When: p.when, Step: p.step}
	if m, ok := p.in.(Message); ok {
		f.Answers = m.CausationID
	}
	decisions, err := r.Apply(s, p.in, p.at)
	if err != nil {
		f.Unknown, f.State = fmt.Sprintf("depends on what it says: %v", err), d.StateName(s.Phase)
		return f
	}
	f.next = s
	for _, one := range decisions {
		f.next = one.State
		if f.Step == "" {
			f.Step = one.Transition.Step
		}
		for _, c := range one.Commands {
			f.Sends = append(f.Sends, c.Type)
		}
	}
	f.State = d.StateName(f.next.Phase)
	return f
}

// String is the future in one line.
func (f Future) String() string {
	line := f.When
	if f.Step != "" {
		line += " (" + f.Step + ")"
	}
	line += ": " + f.State
	if len(f.Sends) > 0 {
		line += ", sends " + strings.Join(f.Sends, ", ")
	}
	if f.Unknown != "" {
		line += "; " + f.Unknown
	}
	return line
}
