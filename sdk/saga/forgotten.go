package saga

import (
	"bytes"

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
