package saga

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Input is what can happen to a saga: a [Message], a [Due] deadline, or an
// [Intervention] of an operator.
type Input interface {
	cause() Cause
}

// Message is something a participant said, or an event that a saga awaits. It must reach the engine
// once; an inbox keyed by ID sees to that.
type Message struct {
	ID          uuid.UUID       `json:"id"`
	Type        string          `json:"type"`
	Key         string          `json:"key"` // the saga's id
	CausationID uuid.UUID       `json:"causationId,omitzero"`
	Data        json.RawMessage `json:"data,omitempty"` // the body, as JSON
	// Time is when its sender made it; zero if that is not known.
	Time time.Time `json:"time,omitzero"`
	// Source says where it came from, for what sets it aside; the engine does
	// not look at it.
	Source string `json:"source,omitempty"`
	// Trace is handed on to the commands that the message leads to, as it is: a
	// traceparent, for instance.
	Trace string `json:"trace,omitempty"`
}

// Due says that the time has come to look at the saga's deadlines. It acts on
// the wait that is overdue longest; give it again until nothing changes.
type Due struct {
	// By is up to when deadlines have passed; the zero time is now. It is earlier
	// where replies that may have come since have not been read.
	By time.Time
	// Unsent are commands that have not left this side: the waits for their
	// answers are not overdue, whatever the clock says.
	Unsent []uuid.UUID
	// Restart says that the saga's commands have left only a moment ago: what is
	// overdue gets its whole wait again, and no attempt is spent.
	Restart bool
}

// Cause is what led to a transition.
type Cause struct {
	ID    uuid.UUID `json:"id,omitzero"`
	Type  string    `json:"type"`
	Actor string    `json:"actor,omitempty"`
}

func (m Message) cause() Cause { return Cause{ID: m.ID, Type: m.Type} }
func (Due) cause() Cause       { return Cause{Type: "deadline"} }

// Command is a message to send, together with the transition that sends it.
type Command struct {
	ID          uuid.UUID
	Type        string
	Topic       string // where the definition sends it; empty if it names none
	Key         string
	CausationID uuid.UUID
	Step        string
	Undo        bool
	Attempt     int
	Trace       string // of the message that led to it, or of the one that began the saga
	Body        any    // what the definition's builder returned
}

// Kind classifies a transition.
type Kind string

// The kinds of transitions.
const (
	Started         Kind = "started"
	Replied         Kind = "replied"          // a reply was applied
	LateSuccess     Kind = "late_success"     // a success came after compensation had begun; it is undone
	StaleReply      Kind = "stale_reply"      // a reply was recorded and not applied
	TimedOut        Kind = "timed_out"        // a deadline passed
	TimePassed      Kind = "time_passed"      // a step that let time pass is done
	CancelRequested Kind = "cancel_requested" // by a message
	Intervened      Kind = "intervened"       // by an operator
	Postponed       Kind = "postponed"        // a deadline passed before its command had left; the wait begins again
	HeldMessage     Kind = "held"             // the saga has not begun, or its version is not registered here: the message waits
	Resumed         Kind = "resumed"          // by an operator, or by an orchestrator that knows the definition: held messages follow
	SuspendedSaga   Kind = "suspended"        // nobody knows the definition's version, or an operator has suspended it
)

// Transition is one line of a saga's history.
type Transition struct {
	Seq      int // from 1, without gaps
	Kind     Kind
	At       time.Time
	From, To string // the names of the states; equal where only a step moved
	Step     string // the step it was about, if one
	Cause    Cause
	Note     string // what happened, in words
	Commands []Command
}

// Decision is what the engine made of an input.
type Decision struct {
	State State
	// Commands to send, in this order.
	Commands []Command
	// Transition to record; its Kind is empty, and the state unchanged, where
	// the input meant nothing (a deadline that is not due any more).
	Transition Transition
	// Attributes are all search attributes of the saga, by name; nil unless its data has changed.
	Attributes map[string]string
	// Refused are messages that had been held for the saga and that it cannot
	// apply. They were accepted when they came, so the caller that stores the decision
	// sets them aside.
	Refused []Refusal
}

// Refusal is a message that can never be applied, and why.
type Refusal struct {
	Message Message
	Err     error
}

// Changed says whether there is anything to store.
func (d Decision) Changed() bool { return d.Transition.Kind != "" }
