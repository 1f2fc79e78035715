package saga

import (
	"time"

	"github.com/google/uuid"
)

// Wait is one thing a saga waits for.
type Wait struct {
	Step      string    `json:"step"`
	For       WaitFor   `json:"for" doc:"What would end it: the reply to a command, an event that no command asked for, time that passes, or the start" enum:"reply,event,time,start"`
	Undo      bool      `json:"undo,omitzero" doc:"True where the step is being taken back"`
	Command   string    `json:"command,omitempty" doc:"The command that was sent last; absent where none was"`
	CommandID uuid.UUID `json:"commandId,omitzero"`
	Replies   []string  `json:"replies,omitempty" doc:"The messages that would end the wait"`
	Attempt   int       `json:"attempt,omitzero"`
	Attempts  int       `json:"attempts,omitzero" doc:"Attempts before the step is given up, or the undo is stuck; absent where it is never given up"`
	Stuck     bool      `json:"stuck,omitzero" doc:"True where the attempts are used up and the command is sent again at the slowest pace"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until,omitzero" doc:"When the saga acts without a reply; absent where an operator revoked the deadline or suspended the saga"`
}

// WaitFor is what would end a wait.
type WaitFor string

// What a saga can wait for.
const (
	ForReply WaitFor = "reply"
	ForEvent WaitFor = "event"
	ForTime  WaitFor = "time"
	ForStart WaitFor = "start"
)

// Waits lists what the saga waits for, in the order of its steps.
func (d *Definition) Waits(s State) []Wait {
	var waits []Wait
	if len(s.Steps) != len(d.steps) {
		return nil // of another definition
	}
	if s.Phase == AwaitingStart {
		return []Wait{{Step: "start", For: ForStart, Replies: []string{d.start.message}, Since: s.StartedAt, Until: s.StartBy}}
	}
	for i, st := range s.Steps {
		step := d.steps[i]
		switch st.Status {
		case Waiting:
			waits = append(waits, step.waitOf(st))
		case Undoing:
			waits = append(waits, Wait{
				Step: step.name, For: ForReply, Undo: true, Command: step.undo.message, Replies: []string{step.undo.reply},
				CommandID: st.UndoSent[len(st.UndoSent)-1],
				Attempt:   st.Undo - st.Budget, Attempts: step.undo.wait.MaxAttempts, Since: st.SentAt, Until: st.Deadline, Stuck: st.Stuck,
			})
		case Idle, Done, Failed, GivenUp, Undone, Abandoned, Assumed, Skipped:
		}
	}
	if s.Phase == Suspended && !s.SuspendedAt.IsZero() {
		for i := range waits {
			waits[i].Until = time.Time{} // the clock stands still
		}
	}
	return waits
}

// waitOf is the wait of a step for what it was begun for.
func (s *step) waitOf(st StepState) Wait {
	w := Wait{Step: s.name, Since: st.SentAt, Until: st.Deadline, Stuck: st.Stuck}
	for _, r := range s.replies {
		w.Replies = append(w.Replies, r.message)
	}
	switch s.action {
	case awaits:
		w.For = ForEvent
	case letsPass:
		w.For = ForTime
	case nothing, done, asks, tells:
		w.For, w.Command, w.CommandID, w.Attempt = ForReply, s.command.message, st.Sent[len(st.Sent)-1], st.Attempt-st.Budget
		if !s.forever {
			w.Attempts = s.wait.MaxAttempts
		}
	}
	return w
}
