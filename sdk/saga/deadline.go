package saga

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// due acts on the wait whose deadline passed first. There is one transition for
// each: the caller comes again until there is nothing more to do.
func (t *turn) due(in Due) {
	by := t.now
	if !in.By.IsZero() && in.By.Before(by) {
		by = in.By
	}
	if t.state.Phase == AwaitingStart && !t.state.StartBy.After(by) {
		t.notStarted()
		return
	}
	first := -1
	for i, st := range t.state.Steps {
		if !overdue(st, by) || slices.Contains(in.Unsent, waitsFor(st)) {
			continue
		}
		if first < 0 || st.Deadline.Before(t.state.Steps[first].Deadline) {
			first = i
		}
	}
	if first < 0 {
		return
	}
	st := t.state.Steps[first]
	t.stamp = st.Deadline
	switch {
	case in.Restart:
		t.restart(first)
	case st.Status == Waiting:
		t.replyOverdue(first)
	default:
		t.undoOverdue(first)
	}
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

// Overdue are the commands whose answers are overdue at now.
func (s State) Overdue(now time.Time) []uuid.UUID {
	var ids []uuid.UUID
	for _, st := range s.Steps {
		if overdue(st, now) {
			ids = append(ids, waitsFor(st))
		}
	}
	return ids
}

// restart gives the wait of step i its whole time again: its command had not
// left when the deadline came, so nobody has kept it waiting.
func (t *turn) restart(i int) {
	step, st := t.def.steps[i], &t.state.Steps[i]
	wait, attempt := step.wait, st.Attempt
	if st.Status == Undoing {
		wait, attempt = step.undo.wait, st.Undo
	}
	_, dice := draw(t.state, step.name, st.Status == Undoing, attempt, t.stamp)
	st.SentAt, st.Deadline = t.now, t.now.Add(wait.delay(attempt-st.Budget, dice))
	t.record(Postponed, step.name, "the command had not left the outbox before the deadline: the wait begins again")
}

// replyOverdue sends the command of step i again, or gives the step up. A saga
// that has turned back only wanted to know whether there is anything to undo,
// so it asks no more. A step that cannot be given up becomes an alarm after its
// attempts.
func (t *turn) replyOverdue(i int) {
	step, st := t.def.steps[i], &t.state.Steps[i]
	spent := st.Attempt-st.Budget >= step.wait.Attempts
	if t.state.Phase == Running && (step.forever || !spent) {
		t.record(TimedOut, step.name, fmt.Sprintf("no reply to attempt %d; asked again", st.Attempt))
		st.Stuck = step.forever && spent
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
// slowest pace, so that it recovers by itself when the participant is back; the
// undos of the other steps wait for it no longer.
func (t *turn) undoOverdue(i int) {
	step, st := t.def.steps[i], &t.state.Steps[i]
	t.record(TimedOut, step.name, fmt.Sprintf("undo attempt %d was not answered; asked again", st.Undo))
	if st.Undo-st.Budget >= step.undo.wait.Attempts {
		st.Stuck = true
	}
	t.sendUndo(i)
	t.compensate()
}
