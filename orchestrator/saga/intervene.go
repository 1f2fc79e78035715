package saga

import (
	"fmt"
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
			st.Budget = st.Attempt
			t.send(i)
			found = true
		case Undoing:
			st.Budget, st.Stuck = st.Undo, false
			t.sendUndo(i)
			found = true
		case Idle, Done, Failed, GivenUp, Undone, Abandoned:
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

// force ends the saga without sending anything. What its steps were waiting
// for stays on record: a success that comes later to a saga forced into its
// cancelled end is still undone.
func (t *turn) force(in Force) error {
	var phase Phase
	switch in.End {
	case t.def.completed:
		phase = Completed
	case t.def.cancelled:
		phase = Cancelled
		t.state.Reason = in.Reason
	default:
		return fmt.Errorf("%w: %q; %s knows %s and %s", ErrUnknownEnd, in.End, t.def.name, t.def.completed, t.def.cancelled)
	}
	t.record(Intervened, "", in.Reason)
	for i := range t.state.Steps {
		t.abandon(i, phase)
	}
	t.end(phase)
	return nil
}

// abandon closes a step of a saga that is forced to end. What was done, and is
// known to be, is the operator's from now on; what may still turn out to have
// been done is not.
func (t *turn) abandon(i int, end Phase) {
	st := &t.state.Steps[i]
	switch st.Status {
	case Waiting, GivenUp:
		t.settle(i, Abandoned)
		if end == Completed {
			st.Status = Done
		}
	case Done:
		if end == Cancelled {
			t.settle(i, Abandoned)
			st.Late = true
		}
	case Undoing:
		t.settle(i, Undone)
	case Idle, Failed, Undone, Abandoned:
	}
}

func (t *turn) moveDeadline(in MoveDeadline) error {
	if t.state.Phase.Ended() {
		return ErrEnded
	}
	for i, step := range t.def.steps {
		st := &t.state.Steps[i]
		if step.name != in.Step || st.Status != Waiting && st.Status != Undoing {
			continue
		}
		st.Deadline = in.To.UTC()
		note := "deadline revoked: " + in.Reason
		if !in.To.IsZero() {
			note = "deadline moved to " + in.To.UTC().Format(time.RFC3339) + ": " + in.Reason
		}
		t.record(Intervened, step.name, note)
		return nil
	}
	return fmt.Errorf("%w: %q", ErrNotWaiting, in.Step)
}
