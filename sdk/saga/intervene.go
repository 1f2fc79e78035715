package saga

import (
	"fmt"
	"slices"
	"time"
)

func (t *turn) retryNow(in RetryNow) error {
	if t.state.Phase.Ended() {
		return ErrEnded
	}
	found := false
	for i, step := range t.def.steps {
		if in.Step != "" && in.Step != step.name {
			continue
		}
		st := &t.state.Steps[i]
		switch st.Status {
		case Waiting:
			st.Budget, st.Stuck = st.Attempt, false
			t.send(i)
			found = true
		case Undoing:
			st.Budget, st.Stuck = st.Undo, false
			t.sendUndo(i)
			found = true
		case Idle, Done, Failed, GivenUp, Undone, Abandoned, Assumed:
		}
	}
	if !found {
		return fmt.Errorf("%w: %q", ErrNotWaiting, in.Step)
	}
	t.record(Intervened, in.Step, in.Reason)
	if t.state.Phase == CompensationStuck {
		t.compensate()
	}
	return nil
}

func (t *turn) cancelByHand(in Cancel) error {
	if t.state.Phase != Running && t.state.Phase != Completed {
		t.record(Intervened, "", "the saga is being undone, or was: nothing to do")
		return nil
	}
	t.record(Intervened, "", in.Reason)
	t.turnBack(in.Reason)
	return nil
}

// force ends the saga. The last word is sent, and not waited for; what is
// answered later stays on record: a success that comes to a saga forced into its
// cancelled end is still undone.
func (t *turn) force(in Force) error {
	switch {
	case in.End != t.def.completed && in.End != t.def.cancelled:
		return fmt.Errorf("%w: %q; %s knows %s and %s", ErrUnknownEnd, in.End, t.def.name, t.def.completed, t.def.cancelled)
	case t.state.Phase.Ended():
		return ErrEnded
	case t.state.Phase == AwaitingStart:
		return fmt.Errorf("%w: the saga has not begun", ErrNotWaiting)
	}
	t.record(Intervened, "", in.Reason)
	if in.End == t.def.completed {
		for i := range t.state.Steps {
			t.assume(i)
		}
		t.end(Completed)
		if t.state.CancelAsked && !t.state.CancelRefused {
			t.refuseCancel("completed by an operator")
		}
		return nil
	}
	t.state.Reason = Text(in.Reason)
	for i := range slices.Backward(t.state.Steps) {
		t.abandon(i)
	}
	t.end(Cancelled)
	return nil
}

// abandon sends the undo of a step that was done or may have been, unless it is
// on its way, and waits for nothing. One that is known to have been done is
// undone by that; a success of any other that comes later is undone once more.
func (t *turn) abandon(i int) {
	step, st := t.def.steps[i], &t.state.Steps[i]
	switch st.Status {
	case Waiting, GivenUp, Done, Assumed:
		known := st.Status == Done
		if step.effectful() {
			t.sendUndo(i)
			st.Blind, st.Late = !known, known
		}
		t.settle(i, Abandoned)
	case Undoing:
		t.settle(i, Abandoned)
	case Idle, Failed, Undone, Abandoned:
	}
}

// assume takes a step for done. If the saga is cancelled after all, it is undone.
func (t *turn) assume(i int) {
	step, st := t.def.steps[i], &t.state.Steps[i]
	switch {
	case st.Status == Done:
	case step.effectful():
		t.settle(i, Assumed)
		st.Late = false
	default:
		if st.Status != Waiting { // else it is on its way
			t.send(i)
		}
		t.settle(i, Done)
	}
}

// The times that a deadline can be moved to, seen from now.
const (
	deadlineBefore = 24 * time.Hour
	deadlineAfter  = 10 * 365 * 24 * time.Hour
)

func (t *turn) moveDeadline(in MoveDeadline) error {
	if in.To.Before(t.now.Add(-deadlineBefore)) || in.To.After(t.now.Add(deadlineAfter)) {
		return fmt.Errorf("%w: %s", ErrBadDeadline, in.To)
	}
	return t.setDeadline(in.Step, in.To.UTC(), "deadline moved to "+in.To.UTC().Format(time.RFC3339)+": "+in.Reason)
}

func (t *turn) revokeDeadline(in RevokeDeadline) error {
	return t.setDeadline(in.Step, time.Time{}, "deadline revoked: "+in.Reason)
}

func (t *turn) setDeadline(name string, to time.Time, note string) error {
	if t.state.Phase.Ended() {
		return ErrEnded
	}
	for i, step := range t.def.steps {
		st := &t.state.Steps[i]
		if step.name != name || st.Status != Waiting && st.Status != Undoing {
			continue
		}
		st.Deadline = to
		t.record(Intervened, step.name, note)
		return nil
	}
	return fmt.Errorf("%w: %q", ErrNotWaiting, name)
}
