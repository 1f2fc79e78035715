package saga

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// intervene does what an operator wants.
func (a *application) intervene(in Intervention) error {
	_, cancels := in.(Cancel)
	_, edits := in.(EditData)
	force, forces := in.(Force)
	switch {
	case forces && force.End != a.def.completed && force.End != a.def.cancelled:
		return fmt.Errorf("%w: %q; %s knows %s and %s", ErrUnknownEnd, force.End, a.def.name, a.def.completed, a.def.cancelled)
	case a.state.Phase.Ended() && !cancels:
		return ErrEnded
	case edits && (a.state.Phase == AwaitingStart || a.state.SuspendedFrom == AwaitingStart):
		return fmt.Errorf("%w: the saga has not begun", ErrNotWaiting)
	}
	switch in := in.(type) {
	case RetryNow:
		return a.retryNow(in)
	case Cancel:
		return a.cancelByHand(in)
	case Resolve:
		return a.resolve(in)
	case SkipWait:
		return a.skipWait(in)
	case EditData:
		return a.editData(in)
	case Suspend:
		return a.suspend(in)
	case Resume:
		return fmt.Errorf("%w: the saga is not suspended", ErrNoEffect)
	case RestartFrom:
		return a.restartFrom(in)
	case Force:
		return a.force(in)
	case MoveDeadline:
		return a.moveDeadline(in)
	case RevokeDeadline:
		return a.revokeDeadline(in)
	}
	return fmt.Errorf("saga: unknown intervention %T", in)
}

// stepNamed finds a step by its name.
func (a *application) stepNamed(name string) (int, error) {
	i := slices.IndexFunc(a.def.steps, func(s *step) bool { return s.name == name })
	if i < 0 {
		return 0, fmt.Errorf("%w: %q; %s has %s", ErrNoStep, name, a.def.name, strings.Join(a.def.StepNames(), ", "))
	}
	return i, nil
}

func (a *application) retryNow(in RetryNow) error {
	found := false
	for i, step := range a.def.steps {
		if in.Step != "" && in.Step != step.name {
			continue
		}
		st := &a.state.Steps[i]
		switch st.Status {
		case Waiting:
			if step.action != asks {
				continue // there is nothing to send
			}
			st.Budget, st.Stuck = st.Attempt, false
			a.send(i)
			found = true
		case Undoing:
			st.Budget, st.Stuck = st.Undo, false
			a.sendUndo(i)
			found = true
		case Idle, Done, Failed, GivenUp, Undone, Abandoned, Assumed, Skipped:
		}
	}
	if !found {
		return fmt.Errorf("%w: %q", ErrNotWaiting, in.Step)
	}
	a.record(Intervened, in.Step, in.Reason)
	if a.state.Phase == CompensationStuck {
		a.compensate()
	}
	return nil
}

func (a *application) cancelByHand(in Cancel) error {
	if a.state.Phase != Running && a.state.Phase != Completed {
		return fmt.Errorf("%w: the saga is being undone, or was", ErrNoEffect)
	}
	a.record(Intervened, "", in.Reason)
	a.startCompensation(in.Reason)
	return nil
}

// force ends the saga. The last word is sent, and not waited for; what is
// answered later stays on record: a success that comes to a saga forced into its
// cancelled end is still undone.
func (a *application) force(in Force) error {
	if a.state.Phase == AwaitingStart {
		return fmt.Errorf("%w: the saga has not begun", ErrNotWaiting)
	}
	a.record(Intervened, "", in.Reason)
	if in.End == a.def.completed {
		for i := range a.state.Steps {
			a.assume(i)
		}
		a.end(Completed)
		if a.state.CancelAsked && !a.state.CancelRefused {
			a.refuseCancel("completed by an operator")
		}
		return nil
	}
	a.state.Reason = Text(in.Reason)
	for i := range slices.Backward(a.state.Steps) {
		a.abandon(i)
	}
	a.end(Cancelled)
	return nil
}

// abandon sends the undo of a step that was done or may have been, unless it is
// on its way, and waits for nothing. One that is known to have been done is
// undone by that; a success of any other that comes later is undone once more.
func (a *application) abandon(i int) {
	step, st := a.def.steps[i], &a.state.Steps[i]
	if step.action == awaits && st.Status == GivenUp || step.action != asks && st.Status == Waiting {
		a.endWait(i, Skipped) // it is undone when it comes
		return
	}
	switch st.Status {
	case Waiting, GivenUp, Done, Assumed:
		known := st.Status == Done
		if step.hasUndo() {
			a.sendUndo(i)
			st.Unconfirmed, st.LateSuccess = !known, known
		}
		a.endWait(i, Abandoned)
	case Undoing:
		a.endWait(i, Abandoned)
	case Idle, Failed, Undone, Abandoned, Skipped:
	}
}

// assume considers a step done. If the saga is cancelled after all, it is undone.
func (a *application) assume(i int) {
	step, st := a.def.steps[i], &a.state.Steps[i]
	switch {
	case st.Status == Done || st.Status == Skipped:
	case st.Status == Idle && !a.needed(i):
		st.Status = Skipped
	case step.hasUndo():
		a.endWait(i, Assumed)
		st.LateSuccess = false
	default:
		if st.Status != Waiting && step.command != nil { // else it is on its way, or nobody is to be asked
			a.send(i)
		}
		a.endWait(i, Done)
	}
}

// The times that a deadline can be moved to, seen from now.
const (
	deadlineBefore = 24 * time.Hour
	deadlineAfter  = 10 * 365 * 24 * time.Hour
)

func (a *application) moveDeadline(in MoveDeadline) error {
	if in.To.Before(a.now.Add(-deadlineBefore)) || in.To.After(a.now.Add(deadlineAfter)) {
		return fmt.Errorf("%w: %s", ErrBadDeadline, in.To)
	}
	return a.setDeadline(in.Step, in.To.UTC(), "deadline moved to "+in.To.UTC().Format(time.RFC3339)+": "+in.Reason)
}

func (a *application) revokeDeadline(in RevokeDeadline) error {
	for _, step := range a.def.steps {
		if step.name == in.Step && step.action == letsPass {
			return fmt.Errorf("%w: %q lets time pass, and nothing else would end that; move its deadline", ErrNotWaiting, in.Step)
		}
	}
	return a.setDeadline(in.Step, time.Time{}, "deadline revoked: "+in.Reason)
}

func (a *application) setDeadline(name string, to time.Time, note string) error {
	if name == "" && !a.state.CompleteBy.IsZero() {
		a.state.CompleteBy = to
		a.record(Intervened, "", note)
		return nil
	}
	for i, step := range a.def.steps {
		st := &a.state.Steps[i]
		if step.name != name || st.Status != Waiting && st.Status != Undoing {
			continue
		}
		st.Deadline = to
		a.record(Intervened, step.name, note)
		return nil
	}
	return fmt.Errorf("%w: %q", ErrNotWaiting, name)
}
