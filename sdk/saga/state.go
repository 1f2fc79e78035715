package saga

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Phase says which way a saga is going.
type Phase string

// The phases of a saga. A finished saga shows the name its definition gave the
// end it reached; see [Definition.StateName].
const (
	Running           Phase = "RUNNING"
	Compensating      Phase = "COMPENSATING"
	CompensationStuck Phase = "COMPENSATION_STUCK" // an undo has used up its attempts; still trying, slowly
	Suspended         Phase = "SUSPENDED"          // it does nothing until it is resumed; see State.SuspendedBy
	AwaitingStart     Phase = "AWAITING_START"     // a cancellation came first, or a reply; the message that starts it has not come
	NotStarted        Phase = "NOT_STARTED"        // that message did not come in time
	Completed         Phase = "COMPLETED"          // every step succeeded
	Cancelled         Phase = "CANCELLED"          // what was done has been undone
)

// Ended says whether nothing more is expected to happen in this phase.
func (p Phase) Ended() bool { return p == Completed || p == Cancelled || p == NotStarted }

// StepStatus is how far one step of a saga has come.
type StepStatus string

// The statuses of a step.
const (
	Idle    StepStatus = ""        // its turn has not come
	Waiting StepStatus = "waiting" // the command was sent, the reply has not come
	Done    StepStatus = "done"
	Failed  StepStatus = "failed"   // refused: nothing was done
	GivenUp StepStatus = "given_up" // never answered; whether it was done is not known
	Undoing StepStatus = "undoing"  // the undo was sent, its reply has not come
	Undone  StepStatus = "undone"
	// Abandoned: the saga was forced to its cancelled end, and the step's undo was
	// sent without waiting for the answer.
	Abandoned StepStatus = "abandoned"
	// Assumed: the saga was forced to its completed end while it was not known
	// whether the step is done. A cancellation undoes it.
	Assumed StepStatus = "assumed"
	// Skipped: the step's condition did not hold, or compensation began while it awaited an event
	// or let time pass.
	Skipped StepStatus = "skipped"
)

// StepState is where one step of one saga stands. Ids and deadlines of
// commands that are settled are kept, so that a late reply is recognised.
type StepState struct {
	Status      StepStatus  `json:"status,omitzero"`
	Attempt     int         `json:"attempt,omitzero"` // commands sent so far
	Undo        int         `json:"undo,omitzero"`    // undo commands sent so far
	Budget      int         `json:"budget,omitzero"`  // attempts of the current wait that were spent before an operator renewed it
	Sent        []uuid.UUID `json:"sent,omitempty"`   // ids of the commands, oldest first
	UndoSent    []uuid.UUID `json:"undoSent,omitempty"`
	SentAt      time.Time   `json:"sentAt,omitzero"`
	Deadline    time.Time   `json:"deadline,omitzero"`    // of the current wait; zero if it was revoked
	Unconfirmed bool        `json:"unconfirmed,omitzero"` // the undo was sent without knowing whether there is anything to undo
	LateSuccess bool        `json:"lateSuccess,omitzero"` // a success that came too late has been undone
	Stuck       bool        `json:"stuck,omitzero"`       // the wait has used up its attempts and goes on: a person should look
}

// keptIDs bounds how many command ids a step remembers. A reply to an older
// one is stale; a step that is asked this often answers the newest as well.
const keptIDs = 32

// State is one saga. The zero State stands for a saga that has not begun.
type State struct {
	ID            string // the key of its messages
	Definition    string
	Version       int
	Phase         Phase
	SuspendedFrom Phase // the phase it was in when it was suspended
	// SuspendedBy is the operator who suspended the saga, and will resume it. It is empty where an
	// orchestrator will: one that knows its definition's version, which was not registered or is
	// suspended as a whole.
	SuspendedBy string
	// SuspendedAt is since when its deadlines stand still; zero where they do not, since nobody
	// meant its definition to be missing.
	SuspendedAt time.Time
	// StartBy is until when an AwaitingStart saga waits for the message that starts it.
	StartBy time.Time
	// CompleteBy is until when the saga must have completed; zero if there is no such time, or it
	// is being undone.
	CompleteBy time.Time
	// StartID is the message that began it; another one of its type is a conflict.
	StartID uuid.UUID
	// CancelAsked says that a cancellation was asked for by a message.
	CancelAsked bool
	// CancelRefused says that a cancellation was refused, so that the next one need not be.
	CancelRefused bool
	Stage         int
	Steps         []StepState // one for each step of the definition, in its order
	Reason        string      // why it is being undone, or was
	Data          json.RawMessage
	Trace         string    // of the message that began it
	Revision      int       // transitions so far
	Stale         int       // replies that were recorded but not applied
	Held          []Message // what it was sent where its definition is not registered
	Early         []Message // replies that came before the message that starts it
	StartedAt     time.Time
	UpdatedAt     time.Time
	EndedAt       time.Time
}

// Exists says whether the saga has begun.
func (s State) Exists() bool { return s.Revision > 0 }

// notBegun says whether only a cancellation of the saga has come, or replies.
func (s State) notBegun() bool { return s.Phase == AwaitingStart || s.Phase == NotStarted }

// Deadline is when the saga needs attention unless a message comes first;
// false where it waits for nothing.
func (s State) Deadline() (time.Time, bool) {
	if s.Phase == Suspended && !s.SuspendedAt.IsZero() {
		return time.Time{}, false
	}
	if len(s.Held) > 0 && s.Phase != Suspended {
		return s.UpdatedAt, true // at once, for an orchestrator that knows the definition
	}
	earliest := s.StartBy
	if !s.CompleteBy.IsZero() {
		earliest = s.CompleteBy
	}
	for _, st := range s.Steps {
		if st.Deadline.IsZero() {
			continue
		}
		if earliest.IsZero() || st.Deadline.Before(earliest) {
			earliest = st.Deadline
		}
	}
	return earliest, !earliest.IsZero()
}

// Trouble says in words why a person should look at the saga; empty where none need.
func (s State) Trouble() string {
	switch s.Phase {
	case Suspended:
		switch {
		case s.SuspendedBy != "":
			return "suspended by " + s.SuspendedBy
		case !s.SuspendedAt.IsZero():
			return fmt.Sprintf("version %d of %s is suspended", s.Version, s.Definition)
		}
		return fmt.Sprintf("version %d of %s is not registered", s.Version, s.Definition)
	case CompensationStuck:
		return "an undo has used up its attempts"
	case Running, Compensating, AwaitingStart, NotStarted, Completed, Cancelled:
	}
	if slices.ContainsFunc(s.Steps, func(st StepState) bool { return st.Stuck }) {
		return "a command that must be answered has used up its attempts"
	}
	return ""
}

// clone returns a copy whose steps can be changed without changing s.
func (s State) clone() State {
	steps := make([]StepState, len(s.Steps))
	copy(steps, s.Steps)
	s.Steps = steps
	return s
}

// StateName is what the saga's state is called to people: the phase, or the
// definition's name of the end that was reached.
func (d *Definition) StateName(p Phase) string {
	switch p {
	case Completed:
		return d.completed
	case Cancelled:
		return d.cancelled
	default:
		return string(p)
	}
}
