package saga

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// send sends the command of step i, for the first time or again.
func (a *application) send(i int) {
	step, st := a.def.steps[i], &a.state.Steps[i]
	st.Attempt++
	id, jitter := deriveID(a.state, step.name, false, st.Attempt, a.stamp)
	st.Status, st.SentAt = Waiting, a.now
	st.Deadline = a.now.Add(step.wait.delay(st.Attempt-st.Budget, jitter))
	st.Sent = remember(st.Sent, id)
	a.emit(step.name, step.command, Command{ID: id, Attempt: st.Attempt}, a.state.Reason)
}

// tell sends the command of step i, and nobody waits for it.
func (a *application) tell(i int) {
	step, st := a.def.steps[i], &a.state.Steps[i]
	st.Attempt++
	id, _ := deriveID(a.state, step.name, false, st.Attempt, a.stamp)
	st.Status, st.SentAt, st.Sent = Done, a.now, remember(st.Sent, id)
	a.emit(step.name, step.command, Command{ID: id, Attempt: st.Attempt}, a.state.Reason)
}

// sendUndo sends the undo of step i, for the first time or again.
func (a *application) sendUndo(i int) {
	step, st := a.def.steps[i], &a.state.Steps[i]
	st.Undo++
	id, jitter := deriveID(a.state, step.name, true, st.Undo, a.stamp)
	st.Status, st.SentAt = Undoing, a.now
	st.Deadline = a.now.Add(step.undo.wait.delay(st.Undo-st.Budget, jitter))
	st.UndoSent = remember(st.UndoSent, id)
	a.emit(step.name, &step.undo.command, Command{ID: id, Attempt: st.Undo, Undo: true}, a.state.Reason)
}

func (a *application) emit(step string, c *command, out Command, reason string) {
	out.Type, out.Topic, out.Key, out.Step, out.CausationID = c.message, c.topic, a.state.ID, step, a.cause.ID
	out.Trace = cmp.Or(a.trace, a.state.Trace)
	body, err := c.build(call{
		saga: a.state.ID, id: out.ID, cause: out.CausationID, at: a.stamp,
		attempt: out.Attempt, reason: reason, data: a.state.Data,
	})
	if err != nil {
		a.err = errors.Join(a.err, fmt.Errorf("step %q: build %s: %w", step, c.message, err))
		return
	}
	out.Body = body
	a.commands = append(a.commands, out)
}

// remember appends id without touching the slice that the old state shares.
func remember(ids []uuid.UUID, id uuid.UUID) []uuid.UUID {
	if len(ids) >= keptIDs {
		ids = ids[len(ids)-keptIDs+1:]
	}
	return append(slices.Clone(ids), id)
}
