package saga

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// reply applies an answer of a participant. It counts only if it answers a
// command of this saga and that step still waits for an answer; but a success
// that comes after the saga has turned back is undone.
func (t *turn) reply(m Message) error {
	i, undo, ok := t.answered(m)
	if !ok && t.forgotten(m) {
		return nil
	}
	if !ok {
		t.stale("", "answers no command of this saga")
		return nil
	}
	if undo {
		t.undone(i)
		return nil
	}
	step := t.def.steps[i]
	r := step.replies[slices.IndexFunc(step.replies, func(r reply) bool { return r.message == m.Type })]
	switch r.verdict {
	case succeeded:
		return t.succeeded(i, r, m)
	case failed:
		return t.failed(i, r, m)
	default:
		t.busy(i, m)
		return nil
	}
}

// undone applies the answer to an undo. That of a saga which was forced to its
// end is not waited for; it only says what became of the step.
func (t *turn) undone(i int) {
	step, st := t.def.steps[i], &t.state.Steps[i]
	switch st.Status {
	case Undoing:
		t.record(Replied, step.name, "")
		t.settle(i, Undone)
		t.compensate()
	case Abandoned:
		t.record(Replied, step.name, "the saga was forced to its end before")
		st.Status = Undone
	case Idle, Waiting, Done, Failed, GivenUp, Undone, Assumed:
		t.stale(step.name, "the step is not being undone")
	}
}

// answered finds the step whose command, or undo, m answers: the one that sent
// the message named as the cause, or, where m names none, by its type, a step
// that waits for it before one that does not.
func (t *turn) answered(m Message) (i int, undo, ok bool) {
	found := false
	for n, step := range t.def.steps {
		st := t.state.Steps[n]
		does := slices.ContainsFunc(step.replies, func(r reply) bool { return r.message == m.Type })
		undoes := step.undo != nil && step.undo.reply == m.Type
		if m.CausationID != uuid.Nil {
			switch {
			case does && slices.Contains(st.Sent, m.CausationID):
				return n, false, true
			case undoes && slices.Contains(st.UndoSent, m.CausationID):
				return n, true, true
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

func (t *turn) succeeded(i int, r reply, m Message) error {
	step, st := t.def.steps[i], &t.state.Steps[i]
	inTime := st.Status == Waiting && !t.state.Phase.Ended()
	if !inTime && !t.comesTooLate(i) {
		t.stale(step.name, "the step is "+describe(st.Status)+" already")
		return nil
	}
	if r.keep != nil {
		data, err := r.keep(t.state.Data, m)
		if err != nil {
			return fmt.Errorf("step %q: keep %s: %w", step.name, m.Type, err)
		}
		t.state.Data = data
	}
	if inTime {
		t.record(Replied, step.name, "")
		t.settle(i, Done)
		if t.state.Phase == Running {
			if t.stageDone() {
				t.enterStage(t.state.Stage + 1)
			}
			return nil
		}
		t.compensate()
		return nil
	}
	st.Late = true
	t.record(LateReply, step.name, "came after the saga had turned back; undone")
	// An undo that is on its way may have run before the success it should undo:
	// forget it, so that only the reply to the one sent now counts.
	t.settle(i, Done)
	st.UndoSent, st.Budget = nil, st.Undo
	t.sendUndo(i)
	t.compensate()
	return nil
}

// comesTooLate says whether a success of step i tells of an effect that no
// undo is sure to have taken back. That happens once a step at most: a
// participant carries out the command of one saga once.
func (t *turn) comesTooLate(i int) bool {
	step, st := t.def.steps[i], t.state.Steps[i]
	if step.undo == nil || st.Late || t.state.Phase == Running || t.state.Phase == Completed {
		return false
	}
	switch st.Status {
	case Undoing, Undone:
		return st.Blind
	case Failed, GivenUp, Abandoned, Assumed, Waiting:
		return true
	case Idle, Done:
	}
	return false
}

func (t *turn) failed(i int, r reply, m Message) error {
	step, st := t.def.steps[i], &t.state.Steps[i]
	if st.Status != Waiting || t.state.Phase.Ended() {
		t.stale(step.name, "the step is "+describe(st.Status)+" already")
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
	t.contradicted(m)
	t.record(Replied, step.name, reason)
	if st.Attempt == 1 {
		t.settle(i, Failed)
	} else {
		// A refusal speaks for the attempt that it answers. Another may yet be
		// carried out, or has been and its reply was lost: whether there is
		// anything to undo is not known.
		t.settle(i, GivenUp)
	}
	if t.state.Phase == Running {
		t.turnBack(reason)
		return nil
	}
	t.compensate()
	return nil
}

// contradicted settles the steps that a refusal of another step says are undone
// already: an order that cannot be confirmed because it was cancelled need not
// be cancelled again.
func (t *turn) contradicted(m Message) {
	for i, step := range t.def.steps {
		if step.undo != nil && step.undo.reply == m.Type && t.state.Steps[i].Status == Done {
			t.settle(i, Undone)
		}
	}
}

// busy lets the current wait run its course: the deadline sends the command
// again or gives the step up.
func (t *turn) busy(i int, m Message) {
	step, st := t.def.steps[i], t.state.Steps[i]
	if st.Status != Waiting || t.state.Phase.Ended() {
		t.stale(step.name, "the step is "+describe(st.Status)+" already")
		return
	}
	t.record(Replied, step.name, m.Type+": asked to try again later")
}

// settle ends the wait of step i.
func (t *turn) settle(i int, status StepStatus) {
	st := &t.state.Steps[i]
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
	case Waiting, Done, Failed, Undone, Abandoned:
	}
	return string(s)
}
