package saga

import (
	"fmt"
	"time"
)

// due acts on every wait whose deadline has passed.
func (t *turn) due() {
	for i := range t.state.Steps {
		st := &t.state.Steps[i]
		if st.Deadline.IsZero() || st.Deadline.After(t.now) {
			continue
		}
		switch st.Status {
		case Waiting:
			t.replyOverdue(i)
		case Undoing:
			t.undoOverdue(i)
		case Idle, Done, Failed, GivenUp, Undone, Abandoned:
			st.Deadline = time.Time{}
		}
	}
}

// replyOverdue sends the command of step i again, or gives the step up. A saga
// that has turned back only wanted to know whether there is anything to undo,
// so it asks no more.
func (t *turn) replyOverdue(i int) {
	step, st := t.def.steps[i], &t.state.Steps[i]
	again := t.state.Phase == Running && (step.forever || st.Attempt-st.Budget < step.wait.Attempts)
	if again {
		t.record(TimedOut, step.name, fmt.Sprintf("no reply to attempt %d; asked again", st.Attempt))
		t.send(i)
		return
	}
	t.record(TimedOut, step.name, fmt.Sprintf("no reply to attempt %d; given up", st.Attempt))
	t.settle(i, GivenUp)
	if t.state.Phase == Running {
		t.turnBack(step.giveUp)
		return
	}
	t.compensate()
}

// undoOverdue sends the undo of step i again. After its last attempt that is
// an alarm, not an end: the saga shows as stuck and keeps asking at the
// slowest pace, so that it mends itself when the participant is back.
func (t *turn) undoOverdue(i int) {
	step, st := t.def.steps[i], &t.state.Steps[i]
	t.record(TimedOut, step.name, fmt.Sprintf("undo attempt %d was not answered; asked again", st.Undo))
	if st.Undo-st.Budget >= step.undo.wait.Attempts {
		st.Stuck = true
	}
	t.sendUndo(i)
	t.compensate()
}
