package saga

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// resolve settles one step by the word of an operator.
func (a *application) resolve(in Resolve) error {
	i, err := a.stepNamed(in.Step)
	if err != nil {
		return err
	}
	switch in.As {
	case Done:
		err = a.resolveDone(i, in)
	case Failed:
		err = a.resolveFailed(i, in)
	case Undone:
		err = a.resolveUndone(i, in)
	default:
		err = fmt.Errorf("%w: it is done, failed or undone, not %q", ErrCannotResolve, in.As)
	}
	if err == nil {
		a.record(Intervened, in.Step, "resolved as "+string(in.As)+": "+in.Reason)
	}
	return err
}

// resolveDone stands in for the success that step i waits for.
func (a *application) resolveDone(i int, in Resolve) error {
	step, st := a.def.steps[i], a.state.Steps[i]
	switch {
	case st.Status == Undoing:
		return fmt.Errorf("%w: %q is being undone; resolve it as undone once that is settled by hand", ErrCannotResolve, step.name)
	case st.Status != Waiting:
		return fmt.Errorf("%w: %q is %s", ErrNotWaiting, step.name, describe(st.Status))
	case step.action == letsPass:
		a.endSilentWait(i, Done)
		return nil
	}
	r, err := step.replyFor(succeeded, in.Reply)
	if err != nil {
		return err
	}
	if r.keep != nil && len(in.Data) == 0 {
		return fmt.Errorf("%w: later steps need what %s says: give its body as data", ErrBadData, r.message)
	}
	if hasNUL(in.Data) {
		return fmt.Errorf("%w: %w", ErrBadData, errNUL)
	}
	err = a.succeeded(i, r, Message{ID: in.ID, Type: r.message, Key: a.state.ID, Data: in.Data})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadData, err)
	}
	return nil
}

// replyFor is the step's reply of a type, or its first, that has a verdict.
func (s *step) replyFor(v verdict, messageType string) (reply, error) {
	var known []string
	for _, r := range s.replies {
		if r.verdict != v {
			continue
		}
		if messageType == "" || r.message == messageType {
			return r, nil
		}
		known = append(known, r.message)
	}
	return reply{}, fmt.Errorf("%w: %q says that of %q by %s", ErrCannotResolve, messageType, s.name, cmp.Or(strings.Join(known, ", "), "no reply"))
}

// resolveFailed settles that step i did nothing, or that its undo finds nothing. A success that
// comes all the same is undone.
func (a *application) resolveFailed(i int, in Resolve) error {
	step, st := a.def.steps[i], a.state.Steps[i]
	switch {
	case st.Status == Waiting && step.action == letsPass:
		return fmt.Errorf("%w: %q lets time pass, which cannot fail", ErrCannotResolve, step.name)
	case st.Status != Waiting && st.Status != Undoing:
		return fmt.Errorf("%w: %q is %s", ErrNotWaiting, step.name, describe(st.Status))
	}
	a.settle(i, Failed, in.Reason)
	return nil
}

// resolveUndone settles that what step i did was taken back by hand.
func (a *application) resolveUndone(i int, in Resolve) error {
	step, st := a.def.steps[i], &a.state.Steps[i]
	switch {
	case !step.hasUndo():
		return fmt.Errorf("%w: %q has no undo; resolve it as failed if nothing is left of it", ErrCannotResolve, step.name)
	case st.Status == Waiting:
		st.Unconfirmed = true // its command may be carried out yet
	case st.Status != Undoing && st.Status != Done:
		return fmt.Errorf("%w: %q is %s", ErrNotWaiting, step.name, describe(st.Status))
	}
	a.settle(i, Undone, in.Reason)
	return nil
}

// settle ends step i without success: the saga turns back, or goes on being undone.
func (a *application) settle(i int, status StepStatus, reason string) {
	a.endWait(i, status)
	if a.state.Phase == Running {
		a.startCompensation(reason)
		return
	}
	a.compensate()
}

// skipWait ends a wait as if its time had come, except that an event is not given up: the saga goes
// on without it.
func (a *application) skipWait(in SkipWait) error {
	if a.state.Phase == AwaitingStart {
		a.notStarted()
		a.stamp = a.now
		a.record(Intervened, "", "the start is awaited no longer: "+in.Reason)
		return nil
	}
	i, err := a.theWait(in.Step)
	if err != nil {
		return err
	}
	step, st := a.def.steps[i], a.state.Steps[i]
	var what string
	switch {
	case step.action == letsPass:
		a.endSilentWait(i, Done)
		what = "the time is over"
	case step.action == awaits && st.Status == Waiting:
		a.endSilentWait(i, Skipped)
		what = "goes on without " + step.replies[0].message
	case st.Status == Waiting:
		a.replyOverdue(i)
		what = a.note
	default:
		a.undoOverdue(i)
		what = a.note
	}
	a.record(Intervened, step.name, what+": "+in.Reason)
	return nil
}

// endSilentWait ends the wait of a step for time or for an event, and the saga goes on.
func (a *application) endSilentWait(i int, status StepStatus) {
	a.endWait(i, status)
	switch {
	case a.state.Phase != Running:
		a.compensate()
	case a.stageDone():
		a.enterStage(a.state.Stage + 1)
	}
}

// theWait is the step of that name that waits, or, where none is named, the only one.
func (a *application) theWait(name string) (int, error) {
	var waiting []int
	var names []string
	for i, st := range a.state.Steps {
		if st.Status == Waiting || st.Status == Undoing {
			waiting, names = append(waiting, i), append(names, a.def.steps[i].name)
		}
	}
	if name == "" && len(waiting) > 1 {
		return 0, fmt.Errorf("%w: several wait, name one: %s", ErrNoStep, strings.Join(names, ", "))
	}
	if name == "" && len(waiting) == 1 {
		return waiting[0], nil
	}
	if i := slices.Index(names, name); i >= 0 {
		return waiting[i], nil
	}
	if name != "" {
		if _, err := a.stepNamed(name); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: %q", ErrNotWaiting, name)
}

// restartFrom lets the saga go forward again from a step.
func (a *application) restartFrom(in RestartFrom) error {
	from, err := a.stepNamed(in.Step)
	if err != nil {
		return err
	}
	stage := a.stageOf(from)
	if err := a.mayRestart(from, stage); err != nil {
		return err
	}
	for n := stage; n < len(a.def.stages); n++ {
		for _, i := range a.def.stages[n] {
			if st := &a.state.Steps[i]; st.Status != Done && (st.Status != Waiting || i == from) {
				a.endWait(i, Idle)
				st.Budget, st.Unconfirmed = st.Attempt, false
			}
		}
	}
	if a.state.Phase != Running && a.def.within != nil {
		a.state.CompleteBy = a.now.Add(a.def.within.after)
	}
	a.state.Phase, a.state.Reason = Running, ""
	a.record(Intervened, in.Step, "restarted from here: "+in.Reason)
	a.enterStage(stage)
	return nil
}

func (a *application) stageOf(step int) int {
	return slices.IndexFunc(a.def.stages, func(stage []int) bool { return slices.Contains(stage, step) })
}

// mayRestart says why the saga cannot go forward from a step of a stage: what comes before it must
// stand, and nothing from there on may have been taken back, since a participant does not do again
// for a saga what it has undone for it.
func (a *application) mayRestart(from, stage int) error {
	no := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrNoRestart, fmt.Sprintf(format, args...))
	}
	switch {
	case a.state.Phase == AwaitingStart:
		return no("it has not begun")
	case a.state.CancelAsked && a.state.Phase != Running:
		return no("its client has asked for the cancellation")
	case a.state.Steps[from].Status == Done:
		return no("%q is done, and is not done twice", a.def.steps[from].name)
	}
	for i, st := range a.state.Steps {
		name, at := a.def.steps[i].name, a.stageOf(i)
		switch {
		case st.Undo > 0 || st.Status == Undone || st.Status == Abandoned || st.Status == Assumed:
			return no("the undo of %q was sent, and what was undone for a saga is not done again", name)
		case at < stage && st.Status != Done && st.Status != Skipped:
			return no("%q comes before it, and is %s", name, describe(st.Status))
		case at > a.state.Stage && i == from:
			return no("its turn has not come")
		}
	}
	return nil
}

// editData changes the saga's data.
func (a *application) editData(in EditData) error {
	data, changes, err := a.def.patched(a.state.Data, in.Patch)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return fmt.Errorf("%w: the data is like that already", ErrNoEffect)
	}
	if err := a.setData(data); err != nil {
		return fmt.Errorf("%w: %w", ErrBadData, err)
	}
	if hasNUL(data) {
		return fmt.Errorf("%w: %w", ErrBadData, errNUL)
	}
	a.record(Intervened, "", strings.Join(changes, "; ")+": "+in.Reason)
	return nil
}

// suspend lets the saga do nothing until it is resumed, which is [Registry.Apply]'s business.
func (a *application) suspend(in Suspend) error {
	if a.state.Phase == AwaitingStart {
		return fmt.Errorf("%w: the saga has not begun", ErrNotWaiting)
	}
	a.state.SuspendedFrom, a.state.Phase = a.state.Phase, Suspended
	a.state.SuspendedBy, a.state.SuspendedAt = cmp.Or(in.Actor, "an operator"), a.now
	a.record(Intervened, "", in.Reason)
	return nil
}

// resumed ends a suspension. Deadlines stood still while there was one that was meant.
func (s *State) resumed(now time.Time) {
	if s.Phase != Suspended {
		return
	}
	if !s.SuspendedAt.IsZero() {
		stood := now.Sub(s.SuspendedAt)
		for i := range s.Steps {
			if st := &s.Steps[i]; !st.Deadline.IsZero() {
				st.Deadline = st.Deadline.Add(stood)
			}
		}
		if !s.CompleteBy.IsZero() {
			s.CompleteBy = s.CompleteBy.Add(stood)
		}
		if !s.StartBy.IsZero() {
			s.StartBy = s.StartBy.Add(stood)
		}
	}
	s.Phase, s.SuspendedFrom, s.SuspendedBy, s.SuspendedAt = s.SuspendedFrom, "", "", time.Time{}
}
