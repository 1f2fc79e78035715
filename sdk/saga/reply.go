package saga

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// reply applies an answer of a participant, or an event that a step awaits. It counts only if it
// answers a command of this saga and that step still waits for an answer; but a success that comes
// after compensation has begun is undone.
func (a *application) reply(m Message) error {
	i, undo, ok := a.answered(m)
	if !ok && a.forgotten(m) {
		return nil
	}
	if !ok {
		a.stale("", "answers no command of this saga")
		return nil
	}
	if undo {
		a.undone(i)
		return nil
	}
	step := a.def.steps[i]
	r := step.replies[slices.IndexFunc(step.replies, func(r reply) bool { return r.message == m.Type })]
	switch r.verdict {
	case succeeded:
		return a.succeeded(i, r, m)
	case failed:
		return a.failed(i, r, m)
	default:
		a.retryLater(i, m)
		return nil
	}
}

// undone applies the answer to an undo. That of a saga which was forced to its
// end is not waited for; it only says what became of the step.
func (a *application) undone(i int) {
	step, st := a.def.steps[i], &a.state.Steps[i]
	switch st.Status {
	case Undoing:
		a.record(Replied, step.name, "")
		a.endWait(i, Undone)
		a.compensate()
	case Abandoned:
		a.record(Replied, step.name, "the saga was forced to its end before")
		st.Status = Undone
	case Idle, Waiting, Done, Failed, GivenUp, Undone, Assumed, Skipped:
		a.stale(step.name, "the step is not being undone")
	}
}

// answered finds the step that awaits the event m, or whose command, or undo, m answers: the one
// that sent the message named as the cause, or, where m names none, by its type, a step that waits
// for it before one that does not.
func (a *application) answered(m Message) (i int, undo, ok bool) {
	if i, ok := a.def.awaited[m.Type]; ok {
		return i, false, true // whatever its cause is, it is none of the saga's commands
	}
	found := false
	for n, step := range a.def.steps {
		st := a.state.Steps[n]
		does := slices.ContainsFunc(step.replies, func(r reply) bool { return r.message == m.Type })
		undoes := step.undo != nil && step.undo.reply == m.Type
		if m.CausationID != uuid.Nil {
			switch {
			case does && slices.Contains(st.Sent, m.CausationID):
				return n, false, true
			case undoes && slices.Contains(st.UndoSent, m.CausationID):
				return n, true, true
			case does && (st.Status == Idle || st.Status == Waiting) && a.hasSent(n, false, m.CausationID):
				return n, false, true // and forgotten it: see [application.forgotten]
			}
			continue
		}
		switch {
		case does && st.Status == Waiting:
			return n, false, true
		case undoes && st.Status == Undoing:
			return n, true, true
		case !found && (does && st.Attempt > 0 || undoes && st.Undo > 0):
			i, undo, found = n, !does, true
		}
	}
	return i, undo, found
}

func (a *application) succeeded(i int, r reply, m Message) error {
	step, st := a.def.steps[i], &a.state.Steps[i]
	inTime := st.Status == Waiting && !a.state.Phase.Ended() || st.Status == Idle && a.state.Phase == Running
	if !inTime && !a.successIsLate(i) {
		a.stale(step.name, "the step is "+describe(st.Status)+" already")
		return nil
	}
	if r.keep != nil {
		data, err := r.keep(a.state.Data, m)
		if err != nil {
			return fmt.Errorf("step %q: keep %s: %w", step.name, m.Type, err)
		}
		if err := a.setData(data); err != nil {
			return err
		}
	}
	if inTime {
		note := ""
		if st.Status == Idle {
			note = earlyNote[step.action]
		}
		a.record(Replied, step.name, note)
		a.endWait(i, Done)
		if a.state.Phase == Running {
			if a.stageDone() {
				a.enterStage(a.state.Stage + 1)
			}
			return nil
		}
		a.compensate()
		return nil
	}
	st.LateSuccess = true
	a.record(LateSuccess, step.name, "came after compensation had begun; undone")
	// An undo that is on its way may have run before the success it should undo:
	// forget it, so that only the reply to the one sent now counts.
	a.endWait(i, Done)
	st.UndoSent, st.Budget = nil, st.Undo
	a.sendUndo(i)
	a.compensate()
	return nil
}

// earlyNote says why a success can come before a step's turn.
var earlyNote = map[action]string{
	awaits: "came before the step's turn",
	asks:   "answers a command that the saga has forgotten: its database was put back to an earlier moment",
}

// comesEarly says whether step i awaits an event, and its turn has not come yet.
func (a *application) comesEarly(i int) bool {
	return a.def.steps[i].action == awaits && a.state.Steps[i].Status == Idle && a.state.Phase == Running
}

// successIsLate says whether a success of step i reports an effect that no
// undo is sure to have taken back. That happens once per step at most: a
// participant carries out the command of one saga once.
func (a *application) successIsLate(i int) bool {
	step, st := a.def.steps[i], a.state.Steps[i]
	if step.undo == nil || st.LateSuccess || a.state.Phase == Running || a.state.Phase == Completed {
		return false
	}
	switch st.Status {
	case Undoing, Undone:
		return st.Unconfirmed
	case Failed, GivenUp, Abandoned, Assumed, Waiting:
		return true
	case Idle:
		return true // an event, or the reply to a command that the saga has forgotten
	case Skipped:
		return step.action == awaits
	case Done:
	}
	return false
}

func (a *application) failed(i int, r reply, m Message) error {
	step, st := a.def.steps[i], &a.state.Steps[i]
	if (st.Status != Waiting || a.state.Phase.Ended()) && !a.comesEarly(i) {
		a.stale(step.name, "the step is "+describe(st.Status)+" already")
		return nil
	}
	reason := step.name + " was refused"
	if r.reason != nil {
		said, err := r.reason(m)
		if err != nil {
			return fmt.Errorf("step %q: reason of %s: %w", step.name, m.Type, err)
		}
		if said = Text(said); said != "" {
			reason = said
		}
	}
	a.contradicted(m)
	a.record(Replied, step.name, reason)
	forgotten := step.action == asks && m.CausationID != uuid.Nil && !slices.Contains(st.Sent, m.CausationID)
	if st.Attempt <= 1 && !forgotten {
		a.endWait(i, Failed)
	} else {
		// A refusal speaks for the attempt that it answers. Another may yet be
		// carried out, or has been and its reply was lost: whether there is
		// anything to undo is not known.
		a.endWait(i, GivenUp)
	}
	if a.state.Phase == Running {
		a.startCompensation(reason)
		return nil
	}
	a.compensate()
	return nil
}

// contradicted settles the steps that a refusal of another step says are undone
// already: an order that cannot be confirmed because it was cancelled need not
// be cancelled again.
func (a *application) contradicted(m Message) {
	for i, step := range a.def.steps {
		if step.undo != nil && step.undo.reply == m.Type && a.state.Steps[i].Status == Done {
			a.endWait(i, Undone)
		}
	}
}

// retryLater lets the current wait run its course: the deadline sends the command
// again or gives the step up.
func (a *application) retryLater(i int, m Message) {
	step, st := a.def.steps[i], a.state.Steps[i]
	if st.Status != Waiting || a.state.Phase.Ended() {
		a.stale(step.name, "the step is "+describe(st.Status)+" already")
		return
	}
	a.record(Replied, step.name, m.Type+": asked to try again later")
}

// endWait ends the wait of step i.
func (a *application) endWait(i int, status StepStatus) {
	st := &a.state.Steps[i]
	st.Status, st.Deadline, st.Budget, st.Stuck = status, time.Time{}, 0, false
}

func describe(s StepStatus) string {
	switch s {
	case Idle:
		return "not begun"
	case GivenUp:
		return "given up"
	case Undoing:
		return "being undone"
	case Assumed:
		return "assumed to be done"
	case Waiting, Done, Failed, Undone, Abandoned, Skipped:
	}
	return string(s)
}
