package saga

import (
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
	// ErrSuspended says that an input needs a saga that is not suspended: its
	// definition is not registered, or an operator has suspended it or its definition.
	ErrSuspended = errors.New("the saga is suspended")
	// ErrNoEffect says that an intervention would change nothing.
	ErrNoEffect = errors.New("nothing to do")
	// ErrCannotResolve says that a step cannot have come to what an operator says it has.
	ErrCannotResolve = errors.New("the step cannot be resolved like that")
	// ErrNoRestart says why a saga cannot go forward again from a step.
	ErrNoRestart = errors.New("the saga cannot be restarted from there")
	// ErrBadData says why data, or the body of a reply, is none of the definition.
	ErrBadData = errors.New("the data does not fit the definition")
	// ErrNoStep says that the definition has no step of that name, or that one has to be named.
	ErrNoStep = errors.New("no such step")
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

// application is one application of the engine: the state as it becomes, and what
// has been decided so far.
type application struct {
	def        *Definition
	state      State
	now        time.Time
	stamp      time.Time // of the message or the deadline that this is about: what is sent carries it
	cause      Cause
	trace      string // of the message, if it is one
	commands   []Command
	attributes map[string]string // nil unless the data has changed
	kind       Kind
	step       string
	note       string
	err        error
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
	if i, ok := in.(checked); ok {
		in = i.Intervention
	} else if err := moved(s, in); err != nil {
		return Decision{}, err
	}
	if _, edits := in.(EditData); s.Phase == Suspended && !edits {
		return Decision{}, ErrSuspended // the registry resumes it
	}
	defer func() {
		if what := recover(); what != nil {
			decision, err = Decision{}, fmt.Errorf("%w: %s v%d: %v", ErrPanicked, d.name, d.version, what)
		}
	}()
	a := &application{def: d, state: s.clone(), now: now.UTC(), stamp: now.UTC(), cause: in.cause()}
	if err := a.apply(in); err != nil {
		return Decision{}, err
	}
	if a.err != nil {
		return Decision{}, a.err
	}
	return a.decision(s), nil
}

// moved is the error of an intervention that was meant for what the saga was before.
func moved(s State, in Input) error {
	i, ok := in.(Intervention)
	if !ok {
		return nil
	}
	if seen := i.Intervener().Seen; seen != 0 && seen != s.Revision {
		return fmt.Errorf("%w: revision %d was seen, it is %d now", ErrMoved, seen, s.Revision)
	}
	return nil
}

func (a *application) apply(in Input) error {
	if m, ok := in.(Message); ok {
		a.trace = m.Trace
		if !m.Time.IsZero() {
			a.stamp = m.Time.UTC()
		}
	}
	if !a.state.Exists() {
		m, _ := in.(Message)
		switch {
		case m.Type == a.def.start.message:
			return a.begin(m)
		case a.def.cancel != nil && m.Type == a.def.cancel.message:
			return a.cancelEarly(m)
		case a.def.maySend(m):
			a.awaitStart(m)
			return a.replyBeforeStart(m)
		}
		return ErrUnknownSaga
	}
	switch in := in.(type) {
	case Message:
		return a.message(in)
	case Due:
		a.due(in)
	case Intervention:
		return a.intervene(in)
	default:
		return fmt.Errorf("saga: unknown input %T", in)
	}
	return nil
}

func (a *application) begin(m Message) error {
	data, err := a.def.start.data(m)
	if err != nil {
		return err
	}
	a.state.ID, a.state.Definition, a.state.Version = m.Key, a.def.name, a.def.version
	a.state.Phase, a.state.Steps = Running, make([]StepState, len(a.def.steps))
	a.state.StartedAt, a.state.Trace, a.state.StartID, a.state.StartBy = a.now, m.Trace, m.ID, time.Time{}
	if err := a.setData(data); err != nil {
		return err
	}
	if w := a.def.within; w != nil {
		a.state.CompleteBy = a.now.Add(w.after)
	}
	a.record(Started, "", "")
	a.markAlreadyDone()
	a.enterStage(0)
	return nil
}

// markAlreadyDone marks the steps that were done before the saga began as
// done, wherever they stand: whatever happens, they are to be undone.
func (a *application) markAlreadyDone() {
	for i, step := range a.def.steps {
		if step.action == done {
			a.enter(i)
		}
	}
}

func (a *application) message(m Message) error {
	switch {
	case m.Type == a.def.start.message && a.state.notBegun() && !a.state.CancelAsked:
		return a.begin(m)
	case m.Type == a.def.start.message && a.state.notBegun():
		return a.beginCancelled(m)
	case m.Type == a.def.start.message:
		return a.startedTwice(m)
	case a.def.cancel != nil && m.Type == a.def.cancel.message && a.state.notBegun() && !a.state.CancelAsked:
		return a.cancelEarly(m)
	case a.def.cancel != nil && m.Type == a.def.cancel.message:
		return a.cancelRequested(m)
	case a.def.awaits(m) && a.state.notBegun():
		return ErrUnknownSaga // there is nothing yet that could await it
	case a.state.notBegun():
		return a.replyBeforeStart(m)
	default:
		return a.reply(m)
	}
}

// awaits says whether m is an event that a step awaits.
func (d *Definition) awaits(m Message) bool {
	_, ok := d.awaited[m.Type]
	return ok
}

// startedTwice is for a start of a saga that exists. The same message again is
// nothing new; another one is about something else that goes by the same id.
func (a *application) startedTwice(m Message) error {
	if a.state.StartID == uuid.Nil || a.state.StartID == m.ID {
		a.stale("", "the saga has begun already")
		return nil
	}
	return fmt.Errorf("%w: %s began with %s %s, and this one is %s", ErrStartConflict, m.Key, m.Type, a.state.StartID, m.ID)
}

// enterStage begins the steps of a stage, and goes past stages that wait for
// nothing; after the last the saga is complete.
func (a *application) enterStage(n int) {
	for ; n < len(a.def.stages); n++ {
		a.state.Stage = n
		for _, i := range a.def.stages[n] {
			a.enter(i)
		}
		if !a.stageDone() {
			return
		}
	}
	a.end(Completed)
}

// enter begins step i, unless it is done already: before the saga began, or because its event came
// before its turn. Its condition is asked now, and not again.
func (a *application) enter(i int) {
	step, st := a.def.steps[i], &a.state.Steps[i]
	if st.Status != Idle {
		return
	}
	if !a.needed(i) {
		st.Status = Skipped
		return
	}
	switch step.action {
	case asks:
		a.send(i)
	case tells:
		a.tell(i)
	case awaits, letsPass:
		st.Status, st.SentAt, st.Deadline = Waiting, a.now, a.now.Add(step.wait.Timeout)
	case done:
		st.Status = Done
	case nothing:
	}
}

// needed says whether step i is to be carried out.
func (a *application) needed(i int) bool {
	step := a.def.steps[i]
	if step.needed == nil {
		return true
	}
	yes, err := step.needed(a.state.Data)
	if err != nil {
		a.err = errors.Join(a.err, fmt.Errorf("step %q: If: %w", step.name, err))
	}
	return yes
}

// stageDone says whether every step of the current stage has succeeded, or is not needed.
func (a *application) stageDone() bool {
	return !slices.ContainsFunc(a.def.stages[a.state.Stage], func(i int) bool {
		status := a.state.Steps[i].Status
		return status != Done && status != Skipped
	})
}

func (a *application) end(p Phase) {
	a.state.Phase, a.state.EndedAt, a.state.StartBy, a.state.CompleteBy = p, a.now, time.Time{}, time.Time{}
	for i := range a.state.Steps {
		a.state.Steps[i].Deadline = time.Time{}
	}
}

// record says what became of the input; the last call counts.
func (a *application) record(kind Kind, step, note string) {
	a.kind, a.step, a.note = kind, step, Text(note)
}

// stale records a reply that changes nothing.
func (a *application) stale(step, why string) {
	a.state.Stale++
	a.record(StaleReply, step, why)
}

func (a *application) decision(before State) Decision {
	if a.kind == "" {
		return Decision{State: before}
	}
	from := ""
	if before.Exists() {
		from = a.def.StateName(before.Phase)
	}
	a.state.Revision++
	a.state.UpdatedAt = a.now
	if !a.state.Phase.Ended() {
		a.state.EndedAt = time.Time{}
	}
	return Decision{State: a.state, Commands: a.commands, Attributes: a.attributes, Transition: Transition{
		Seq: a.state.Revision, Kind: a.kind, At: a.now, From: from, To: a.def.StateName(a.state.Phase),
		Step: a.step, Cause: a.cause, Note: a.note, Commands: a.commands,
	}}
}
