package saga

import (
	"bytes"
	"fmt"
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

// notBegun says whether only a cancellation of the saga has come.
func (a *application) notBegun() bool {
	return a.state.Phase == AwaitingStart || a.state.Phase == NotStarted
}

// replyBeforeStart applies a reply to a saga that, as far as its database knows, has not begun:
// it was put back to an earlier moment, or the saga ended so long ago that it was removed. Nothing
// is undone before the start comes: there is no data to do it with, and where the saga had
// completed the start never comes and nothing may be undone. But a success is noted: the saga that
// begins only to be cancelled takes it back then.
func (a *application) replyBeforeStart(m Message) error {
	i, undo, ok := a.answered(m)
	if !ok || undo || a.state.Steps[i].Status != Idle || a.def.steps[i].undo == nil {
		a.stale("", "the saga has not begun")
		return nil
	}
	step := a.def.steps[i]
	r := step.replies[slices.IndexFunc(step.replies, func(r reply) bool { return r.message == m.Type })]
	switch {
	case r.verdict != succeeded:
		a.stale(step.name, "the saga has not begun")
	case r.keep != nil:
		return fmt.Errorf("%w: step %q keeps what %s says, for the undo", ErrNotBegun, step.name, m.Type)
	default:
		a.state.Steps[i].Status = Done
		a.record(Replied, step.name, "answers a command from before the saga was forgotten; undone if the saga begins")
	}
	return nil
}

// doneBefore are the steps of a saga of which only a cancellation has come, as version d has them.
// What replies have said of the steps until then ([application.replyBeforeStart]) goes by the
// steps' names; false if the version that they came to is not known, and so neither are these.
func (r *Registry) doneBefore(d *Definition, s State) ([]StepState, bool) {
	noted := slices.ContainsFunc(s.Steps, func(st StepState) bool { return st.Status == Done })
	was, known := r.Definition(s.Definition, s.Version)
	if noted && (!known || len(was.steps) != len(s.Steps)) {
		return nil, false
	}
	steps := make([]StepState, len(d.steps))
	for i := range steps {
		at := -1
		if noted {
			at = slices.IndexFunc(was.steps, func(other *step) bool { return other.name == d.steps[i].name })
		}
		if at >= 0 {
			steps[i] = s.Steps[at]
		}
	}
	return steps, true
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
