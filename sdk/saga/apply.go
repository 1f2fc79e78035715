package saga

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Errors of Apply. None of them changes the saga.
var (
	// ErrUnknownSaga says that a message other than a start is for a saga that
	// has not begun.
	ErrUnknownSaga = errors.New("no such saga")
	// ErrEnded says that an intervention came after the saga had ended.
	ErrEnded = errors.New("the saga has ended")
	// ErrNotWaiting says that the step an intervention names waits for nothing.
	ErrNotWaiting = errors.New("the step is not waiting")
	// ErrUnknownEnd says that the state to force is not an end of the definition.
	ErrUnknownEnd = errors.New("no such end state")
	// ErrParked says that an intervention needs a definition that is not registered.
	ErrParked = errors.New("the saga is parked")
	// ErrWrongDefinition says that the state belongs to another definition.
	ErrWrongDefinition = errors.New("the saga belongs to another definition")
	// ErrStartConflict says that a message starts a saga that another message of
	// the same type has started: two things go by one id.
	ErrStartConflict = errors.New("the saga was started by another message")
	// ErrMoved says that the saga has changed since the operator looked at it.
	ErrMoved = errors.New("the saga has changed since")
	// ErrBadDeadline says that a deadline cannot be moved to that time.
	ErrBadDeadline = errors.New("a deadline must be between a day ago and ten years from now")
	// ErrPanicked says that a function of the definition panicked.
	ErrPanicked = errors.New("the definition panicked")
)

// turn is one application of the engine: the state as it becomes, and what
// has been decided so far.
type turn struct {
	def      *Definition
	state    State
	now      time.Time
	stamp    time.Time // of the message or the deadline that this is about: what is sent carries it
	cause    Cause
	trace    string // of the message, if it is one
	commands []Command
	kind     Kind
	step     string
	note     string
	err      error
}

// Apply is the engine. It returns what the saga becomes when in happens to it
// at now, what is to be sent, and the transition to record. It is pure: it
// changes neither its arguments nor anything else, and the same arguments give
// the same decision; the ids and times of commands depend on the input alone,
// not on now. Errors other than the package's Err values come from the
// definition's own functions, and mean that the message can never be applied;
// one that panics is such an error.
func (d *Definition) Apply(s State, in Input, now time.Time) (decision Decision, err error) {
	if s.Exists() && (s.Definition != d.name || s.Version != d.version) {
		return Decision{}, fmt.Errorf("%w: %s v%d, not %s v%d", ErrWrongDefinition, s.Definition, s.Version, d.name, d.version)
	}
	if s.Exists() && len(s.Steps) != len(d.steps) {
		return Decision{}, fmt.Errorf("%w: it has %d steps, and %s v%d has %d: that version was changed after the saga began",
			ErrWrongDefinition, len(s.Steps), d.name, d.version, len(d.steps))
	}
	if i, ok := in.(intervention); ok && i.seen() != 0 && i.seen() != s.Revision {
		return Decision{}, fmt.Errorf("%w: revision %d was seen, it is %d now", ErrMoved, i.seen(), s.Revision)
	}
	defer func() {
		if what := recover(); what != nil {
			decision, err = Decision{}, fmt.Errorf("%w: %s v%d: %v", ErrPanicked, d.name, d.version, what)
		}
	}()
	t := &turn{def: d, state: s.clone(), now: now.UTC(), stamp: now.UTC(), cause: in.cause()}
	if err := t.apply(in); err != nil {
		return Decision{}, err
	}
	if t.err != nil {
		return Decision{}, t.err
	}
	return t.decision(s), nil
}

// intervention is an input that an operator made of what he saw.
type intervention interface{ seen() int }

func (t *turn) apply(in Input) error {
	if m, ok := in.(Message); ok {
		t.trace = m.Trace
		if !m.Time.IsZero() {
			t.stamp = m.Time.UTC()
		}
	}
	if !t.state.Exists() {
		m, _ := in.(Message)
		switch {
		case m.Type == t.def.start.message:
			return t.begin(m)
		case t.def.cancel != nil && m.Type == t.def.cancel.message:
			return t.cancelEarly(m)
		}
		return ErrUnknownSaga
	}
	switch in := in.(type) {
	case Message:
		return t.message(in)
	case Due:
		t.due(in)
	case RetryNow:
		return t.retryNow(in)
	case Cancel:
		return t.cancelByHand(in)
	case Force:
		return t.force(in)
	case MoveDeadline:
		return t.moveDeadline(in)
	case RevokeDeadline:
		return t.revokeDeadline(in)
	default:
		return fmt.Errorf("saga: unknown input %T", in)
	}
	return nil
}

func (t *turn) begin(m Message) error {
	data, err := t.def.start.data(m)
	if err != nil {
		return err
	}
	t.state.ID, t.state.Definition, t.state.Version = m.Key, t.def.name, t.def.version
	t.state.Phase, t.state.Steps = Running, make([]StepState, len(t.def.steps))
	t.state.Data, t.state.StartedAt, t.state.Trace, t.state.StartID = data, t.now, m.Trace, m.ID
	t.record(Started, "", "")
	t.giveWhatWasGiven()
	t.enterStage(0)
	return nil
}

// giveWhatWasGiven marks the steps that were done before the saga began as
// done, wherever they stand: whatever happens, they are to be undone.
func (t *turn) giveWhatWasGiven() {
	for i, step := range t.def.steps {
		if step.command == nil {
			t.state.Steps[i].Status = Done
		}
	}
}

func (t *turn) message(m Message) error {
	switch {
	case m.Type == t.def.start.message && (t.state.Phase == AwaitingStart || t.state.Phase == NotStarted):
		return t.beginCancelled(m)
	case m.Type == t.def.start.message:
		return t.startedTwice(m)
	case t.def.cancel != nil && m.Type == t.def.cancel.message:
		return t.cancelRequested(m)
	default:
		return t.reply(m)
	}
}

// startedTwice is for a start of a saga that exists. The same message again is
// nothing new; another one is about something else that goes by the same id.
func (t *turn) startedTwice(m Message) error {
	if t.state.StartID == uuid.Nil || t.state.StartID == m.ID {
		t.stale("", "the saga has begun already")
		return nil
	}
	return fmt.Errorf("%w: %s began with %s %s, and this one is %s", ErrStartConflict, m.Key, m.Type, t.state.StartID, m.ID)
}

// enterStage sends the commands of a stage, and goes past stages that send
// none; after the last the saga is complete.
func (t *turn) enterStage(n int) {
	for ; n < len(t.def.stages); n++ {
		t.state.Stage = n
		for _, i := range t.def.stages[n] {
			if t.def.steps[i].command != nil {
				t.send(i)
			}
		}
		if !t.stageDone() {
			return
		}
	}
	t.end(Completed)
}

// stageDone says whether every step of the current stage has succeeded.
func (t *turn) stageDone() bool {
	return !slices.ContainsFunc(t.def.stages[t.state.Stage], func(i int) bool {
		return t.state.Steps[i].Status != Done
	})
}

func (t *turn) end(p Phase) {
	t.state.Phase, t.state.EndedAt, t.state.StartBy = p, t.now, time.Time{}
	for i := range t.state.Steps {
		t.state.Steps[i].Deadline = time.Time{}
	}
}

// send sends the command of step i, for the first time or again.
func (t *turn) send(i int) {
	step, st := t.def.steps[i], &t.state.Steps[i]
	st.Attempt++
	id, dice := draw(t.state, step.name, false, st.Attempt, t.stamp)
	st.Status, st.SentAt = Waiting, t.now
	st.Deadline = t.now.Add(step.wait.delay(st.Attempt-st.Budget, dice))
	st.Sent = remember(st.Sent, id)
	t.emit(step.name, step.command, Command{ID: id, Attempt: st.Attempt}, t.state.Reason)
}

// sendUndo sends the undo of step i, for the first time or again.
func (t *turn) sendUndo(i int) {
	step, st := t.def.steps[i], &t.state.Steps[i]
	st.Undo++
	id, dice := draw(t.state, step.name, true, st.Undo, t.stamp)
	st.Status, st.SentAt = Undoing, t.now
	st.Deadline = t.now.Add(step.undo.wait.delay(st.Undo-st.Budget, dice))
	st.UndoSent = remember(st.UndoSent, id)
	t.emit(step.name, &step.undo.command, Command{ID: id, Attempt: st.Undo, Undo: true}, t.state.Reason)
}

func (t *turn) emit(step string, c *command, out Command, reason string) {
	out.Type, out.Topic, out.Key, out.Step, out.CausationID = c.message, c.topic, t.state.ID, step, t.cause.ID
	out.Trace = cmp.Or(t.trace, t.state.Trace)
	body, err := c.build(call{
		saga: t.state.ID, id: out.ID, cause: out.CausationID, at: t.stamp,
		attempt: out.Attempt, reason: reason, data: t.state.Data,
	})
	if err != nil {
		t.err = errors.Join(t.err, fmt.Errorf("step %q: build %s: %w", step, c.message, err))
		return
	}
	out.Body = body
	t.commands = append(t.commands, out)
}

// remember appends id without touching the slice that the old state shares.
func remember(ids []uuid.UUID, id uuid.UUID) []uuid.UUID {
	if len(ids) >= keptIDs {
		ids = ids[len(ids)-keptIDs+1:]
	}
	return append(slices.Clone(ids), id)
}

// record says what the turn came to; the last word counts.
func (t *turn) record(kind Kind, step, note string) {
	t.kind, t.step, t.note = kind, step, Text(note)
}

// stale records a reply that changes nothing.
func (t *turn) stale(step, why string) {
	t.state.Stale++
	t.record(StaleReply, step, why)
}

func (t *turn) decision(before State) Decision {
	if t.kind == "" {
		return Decision{State: before}
	}
	from := ""
	if before.Exists() {
		from = t.def.StateName(before.Phase)
	}
	t.state.Revision++
	t.state.UpdatedAt = t.now
	if !t.state.Phase.Ended() {
		t.state.EndedAt = time.Time{}
	}
	return Decision{State: t.state, Commands: t.commands, Transition: Transition{
		Seq: t.state.Revision, Kind: t.kind, At: t.now, From: from, To: t.def.StateName(t.state.Phase),
		Step: t.step, Cause: t.cause, Note: t.note, Commands: t.commands,
	}}
}
