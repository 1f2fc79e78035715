package saga

import "slices"

// turnBack begins to undo the saga because of reason.
func (t *turn) turnBack(reason string) {
	t.state.Reason = Text(reason)
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
// not end before that undo is answered, but nobody else waits for it. The same
// goes for an undo that has used up its attempts.
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
		if st.Stuck && st.Status == Undoing {
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
	case GivenUp, Assumed:
		if !step.effectful() {
			return false, false
		}
		st.Blind = true
		t.sendUndo(i)
		return false, true
	case Undoing:
		return !st.Blind && !st.Stuck, true
	case Waiting:
		return true, true
	case Idle, Failed, Undone, Abandoned:
	}
	return false, false
}
