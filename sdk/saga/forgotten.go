package saga

import (
	"bytes"
	"slices"

	"github.com/google/uuid"
)

// forgotten applies the reply to an undo that the saga does not know of, and has sent all the same:
// the database was put back to an earlier moment since. (The reply to a command that was forgotten
// counts as a success before the step's turn: the participant has done it.) What led to the undo
// may come again or not (a deadline does not), but the step has been undone, so the saga turns
// back. It says whether m is one.
//
// An id of a command says whose it is: it is derived from the saga, the step and the attempt, but
// for the time in its first six bytes. So no other saga's reply is mistaken for one.
func (a *application) forgotten(m Message) bool {
	if m.CausationID == uuid.Nil || a.state.Phase != Running && a.state.Phase != Completed {
		return false
	}
	for i, step := range a.def.steps {
		st := &a.state.Steps[i]
		if step.undo == nil || step.undo.reply != m.Type || st.Status != Done && st.Status != Waiting || !a.hasSent(i, true, m.CausationID) {
			continue
		}
		a.record(Replied, step.name, "was undone by a command that the saga has forgotten: its database was put back to an earlier moment")
		st.Unconfirmed = st.Status == Waiting // its success may not have been read again
		a.endWait(i, Undone)
		a.startCompensation(step.name + " had been undone before the saga's database was put back")
		return true
	}
	return false
}

// maySend says whether m answers a command, or an undo, that the saga of its key sends.
func (d *Definition) maySend(m Message) bool {
	if m.CausationID == uuid.Nil {
		return false
	}
	a := &application{def: d, state: State{ID: m.Key, Definition: d.name, Steps: make([]StepState, len(d.steps))}}
	for i, step := range d.steps {
		does := slices.ContainsFunc(step.replies, func(r reply) bool { return r.message == m.Type })
		undoes := step.undo != nil && step.undo.reply == m.Type
		if does && a.hasSent(i, false, m.CausationID) || undoes && a.hasSent(i, true, m.CausationID) {
			return true
		}
	}
	return false
}

// replyBeforeStart keeps a reply to a saga that, as far as its database knows, has not begun: it
// was put back to an earlier moment, and the reply is read again before the start is, from another
// topic. The saga that begins finds it; what it would be asked it has been asked already, under the
// same id, and a participant does not answer that twice. Or the saga ended so long ago that it was
// removed, and nothing begins.
func (a *application) replyBeforeStart(m Message) error {
	if !a.def.maySend(m) {
		a.stale("", "the saga has not begun, and would not ask this")
		return nil
	}
	if len(a.state.Early) >= keptHeld {
		a.stale("", "the saga has not begun, and enough replies are held for it")
		return nil
	}
	a.state.Early = append(slices.Clone(a.state.Early), m)
	a.cause = Cause{Type: m.Type} // the line that applies it names the message
	a.record(HeldMessage, "", m.Type+" came before the saga began: it is held until it does")
	return nil
}

// markAnswered marks the steps of a saga that begins only to be undone as done whose successes have
// come before: they are undone in their order. The other replies are applied after that.
func (a *application) markAnswered() {
	a.state.Early = slices.DeleteFunc(slices.Clone(a.state.Early), func(m Message) bool {
		i, undo, ok := a.answered(m)
		if !ok || undo || a.state.Steps[i].Status != Idle {
			return false
		}
		r := a.def.steps[i].replies[slices.IndexFunc(a.def.steps[i].replies, func(r reply) bool { return r.message == m.Type })]
		if r.verdict != succeeded || r.keep != nil {
			return false
		}
		a.state.Steps[i].Status = Done
		a.note = Text(a.note + "; " + m.Type + " had come before")
		return true
	})
}

// hasSent says whether id is that of one of the next commands of step i, or of the next undos.
func (a *application) hasSent(i int, undo bool, id uuid.UUID) bool {
	step, st := a.def.steps[i], a.state.Steps[i]
	sent := st.Attempt
	if undo {
		sent = st.Undo
	}
	for attempt := sent + 1; attempt <= sent+keptIDs; attempt++ {
		derived, _ := deriveID(a.state, step.name, undo, attempt, a.stamp)
		if bytes.Equal(derived[6:], id[6:]) {
			return true
		}
	}
	return false
}
