package saga

import "slices"

// turnBack begins to undo the saga because of reason.
func (t *turn) turnBack(reason string) {
	t.state.Reason = reason
	t.state.Phase = Compensating
	t.compensate()
}

// compensate takes back what was done, the last step first, as far as it can
// go without another reply.
//
// A step that is known to have been done is taken back before those ahead of
// it are looked at. One that still waits for its reply is waited for, until
// its deadline at most, because undoing what may yet be refused is a message
// for nothing. One that was given up is different: its participant has been
// silent for so long that the saga sends the undo and goes on; the saga does
// not end before that undo is answered, but nobody else waits for it.
func (t *turn) compensate() {
	settled := true
	for i := range slices.Backward(t.state.Steps) {
		held, open := t.takeBack(i)
		settled = settled && !open
		if held {
			break
		}
	}
	t.state.Phase = Compensating
	for _, st := range t.state.Steps {
		if st.Stuck {
			t.state.Phase = CompensationStuck
		}
	}
	if settled {
		t.end(Cancelled)
	}
}

// takeBack moves one step towards being undone. It says whether the steps
// before it must wait, and whether it is still open.
func (t *turn) takeBack(i int) (held, open bool) {
	step, st := t.def.steps[i], &t.state.Steps[i]
	switch st.Status {
	case Done:
		if !step.effectful() {
			return false, false
		}
		t.sendUndo(i)
		return true, true
	case GivenUp:
		if !step.effectful() {
			return false, false
		}
		st.Blind = true
		t.sendUndo(i)
		return false, true
	case Undoing:
		return !st.Blind, true
	case Waiting:
		return true, true
	case Idle, Failed, Undone, Abandoned:
	}
	return false, false
}

// cancelRequested undoes the saga if it runs, or completed not too long ago.
// Asking again changes nothing.
func (t *turn) cancelRequested(m Message) error {
	reason, err := t.def.cancel.said(m)
	if err != nil {
		return err
	}
	switch {
	case t.state.Phase == Running:
		t.record(CancelRequested, "", reason)
		t.turnBack(reason)
	case t.state.Phase != Completed:
		t.record(CancelRequested, "", "the saga is being undone, or was: nothing to do")
	case t.now.Sub(t.state.EndedAt) > t.def.cancel.window:
		t.record(CancelRequested, "", "refused: completed more than "+t.def.cancel.window.String()+" ago")
	default:
		t.record(CancelRequested, "", reason)
		t.turnBack(reason)
	}
	return nil
}

// said is the reason that a cancellation gives.
func (c *cancellation) said(m Message) (string, error) {
	if c.reason != nil {
		if said, err := c.reason(m); said != "" || err != nil {
			return said, err
		}
	}
	return "cancellation was requested", nil
}
