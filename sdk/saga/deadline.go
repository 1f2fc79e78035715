package saga

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// due acts on the wait whose deadline passed first. There is one transition for
// each: the caller comes again until there is nothing more to do.
func (a *application) due(in Due) {
	by := a.now
	if !in.By.IsZero() && in.By.Before(by) {
		by = in.By
	}
	if a.state.Phase == AwaitingStart && !a.state.StartBy.After(by) {
		a.notStarted()
		return
	}
	first := -1
	for i, st := range a.state.Steps {
		if !overdue(st, by) || slices.Contains(in.Unsent, waitsFor(st)) {
			continue
		}
		if first < 0 || st.Deadline.Before(a.state.Steps[first].Deadline) {
			first = i
		}
	}
	if end := a.state.CompleteBy; !end.IsZero() && !end.After(by) && (first < 0 || !end.After(a.state.Steps[first].Deadline)) {
		a.sagaOverdue()
		return
	}
	if first < 0 {
		return
	}
	step, st := a.def.steps[first], a.state.Steps[first]
	a.stamp = st.Deadline
	switch {
	case step.action == letsPass:
		a.timePassed(first)
	case step.action == awaits && st.Status == Waiting:
		a.eventOverdue(first)
	case in.Restart:
		a.restart(first)
	case st.Status == Waiting:
		a.replyOverdue(first)
	default:
		a.undoOverdue(first)
	}
}

// sagaOverdue undoes a saga that has not completed in the time that it has.
func (a *application) sagaOverdue() {
	a.stamp = a.state.CompleteBy
	a.record(TimedOut, "", "not completed within "+short(a.def.within.after)+" of its start")
	a.startCompensation(a.def.within.reason)
}

// timePassed ends a step that let time pass.
func (a *application) timePassed(i int) {
	a.record(TimePassed, a.def.steps[i].name, "")
	a.endWait(i, Done)
	if a.stageDone() {
		a.enterStage(a.state.Stage + 1)
	}
}

// eventOverdue gives up a step whose event did not come.
func (a *application) eventOverdue(i int) {
	step := a.def.steps[i]
	a.record(TimedOut, step.name, "no "+step.replies[0].message+" came; given up")
	a.endWait(i, GivenUp)
	a.startCompensation(step.giveUp)
}

func overdue(st StepState, now time.Time) bool {
	return (st.Status == Waiting || st.Status == Undoing) && !st.Deadline.IsZero() && !st.Deadline.After(now)
}

// waitsFor is the command whose answer a step waits for.
func waitsFor(st StepState) uuid.UUID {
	sent := st.Sent
	if st.Status == Undoing {
		sent = st.UndoSent
	}
	if len(sent) == 0 {
		return uuid.Nil
	}
	return sent[len(sent)-1]
}

// Overdue are the commands whose answers are overdue at now. Events and times that are awaited have
// none.
func (s State) Overdue(now time.Time) []uuid.UUID {
	var ids []uuid.UUID
	for _, st := range s.Steps {
		if id := waitsFor(st); overdue(st, now) && id != uuid.Nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// restart gives the wait of step i its whole time again: its command had not
// left when the deadline came, so nobody has kept it waiting.
func (a *application) restart(i int) {
	step, st := a.def.steps[i], &a.state.Steps[i]
	wait, attempt := step.wait, st.Attempt
	if st.Status == Undoing {
		wait, attempt = step.undo.wait, st.Undo
	}
	_, jitter := deriveID(a.state, step.name, st.Status == Undoing, attempt, a.stamp)
	st.SentAt, st.Deadline = a.now, a.now.Add(wait.delay(attempt-st.Budget, jitter))
	a.record(Postponed, step.name, "the command had not left the outbox before the deadline: the wait begins again")
}

// replyOverdue sends the command of step i again, or gives the step up. A saga
// that is being undone only wanted to know whether there is anything to undo,
// so it asks no more. A step that cannot be given up becomes an alarm after its
// attempts.
func (a *application) replyOverdue(i int) {
	step, st := a.def.steps[i], &a.state.Steps[i]
	spent := st.Attempt-st.Budget >= step.wait.MaxAttempts
	if a.state.Phase == Running && (step.forever || !spent) {
		a.record(TimedOut, step.name, fmt.Sprintf("no reply to attempt %d; sent again", st.Attempt))
		st.Stuck = step.forever && spent
		a.send(i)
		return
	}
	a.record(TimedOut, step.name, fmt.Sprintf("no reply to attempt %d; given up", st.Attempt))
	a.endWait(i, GivenUp)
	if a.state.Phase == Running {
		a.startCompensation(step.giveUp)
		return
	}
	a.compensate()
}

// undoOverdue sends the undo of step i again. After its last attempt that is
// an alarm, not an end: the saga shows as stuck and keeps asking at the
// slowest pace, so that it recovers by itself when the participant is back; the
// undos of the other steps wait for it no longer.
func (a *application) undoOverdue(i int) {
	step, st := a.def.steps[i], &a.state.Steps[i]
	a.record(TimedOut, step.name, fmt.Sprintf("undo attempt %d was not answered; sent again", st.Undo))
	if st.Undo-st.Budget >= step.undo.wait.MaxAttempts {
		st.Stuck = true
	}
	a.sendUndo(i)
	a.compensate()
}
