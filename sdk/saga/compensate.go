package saga

import (
	"slices"
	"time"
)

// startCompensation begins to undo the saga because of reason.
func (a *application) startCompensation(reason string) {
	a.state.Reason = Text(reason)
	a.state.Phase, a.state.CompleteBy = Compensating, time.Time{}
	a.compensate()
}

// compensate takes back what was done, the last step first, as far as it can
// go without another reply.
//
// A step that is known to have been done is taken back before those ahead of it are looked at. One
// that still waits for its reply is waited for, until its deadline at most, because undoing what
// may yet be refused is a message for nothing; an event or a time that was awaited is awaited no
// longer, and an event that comes all the same is undone when it comes. One that was given up is
// different: its participant has been silent for so long that the saga sends the undo and goes on;
// the saga does not end before that undo is answered, but nobody else waits for it. The same goes
// for an undo that has used up its attempts.
func (a *application) compensate() {
	settled := true
	for i := range slices.Backward(a.state.Steps) {
		held, open := a.compensateStep(i)
		settled = settled && !open
		if held {
			break
		}
	}
	a.state.Phase = Compensating
	for _, st := range a.state.Steps {
		if st.Stuck && st.Status == Undoing {
			a.state.Phase = CompensationStuck
		}
	}
	if settled {
		a.end(Cancelled)
	}
}

// compensateStep moves one step towards being undone. It says whether the steps
// before it must wait, and whether it is still open.
func (a *application) compensateStep(i int) (held, open bool) {
	step, st := a.def.steps[i], &a.state.Steps[i]
	switch st.Status {
	case Done:
		if !step.hasUndo() {
			return false, false
		}
		a.sendUndo(i)
		return true, true
	case GivenUp, Assumed:
		if !step.hasUndo() || st.Status == GivenUp && step.action == awaits {
			return false, false
		}
		st.Unconfirmed = true
		a.sendUndo(i)
		return false, true
	case Undoing:
		return !st.Unconfirmed && !st.Stuck, true
	case Waiting:
		if step.action != asks {
			a.endWait(i, Skipped)
			return false, false
		}
		return true, true
	case Idle, Failed, Undone, Abandoned, Skipped:
	}
	return false, false
}
