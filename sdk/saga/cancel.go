package saga

import (
	"encoding/json"
	"time"
)

// startWithin is how long a cancellation that came first waits for the message
// that starts its saga, before the one who asked is told that there is nothing
// to cancel. The message is honoured also after that.
const startWithin = time.Minute

// cancelEarly remembers a cancellation for which there is no saga. Either it
// has overtaken the start, as an undo can overtake the deed, or the saga was
// forgotten long ago: that cannot be told yet, so the saga is neither begun nor
// ended.
func (t *turn) cancelEarly(m Message) error {
	reason, err := t.def.cancel.said(m)
	if err != nil {
		return err
	}
	t.state = State{
		ID: m.Key, Definition: t.def.name, Version: t.def.version, Steps: make([]StepState, len(t.def.steps)),
		Phase: AwaitingStart, StartBy: t.now.Add(startWithin), Data: json.RawMessage("null"),
		StartedAt: t.now, Reason: reason, Trace: m.Trace, CancelAsked: true,
	}
	t.record(CancelRequested, "", "came before the saga began: it will be undone as soon as it does")
	return nil
}

// notStarted gives up waiting for the start.
func (t *turn) notStarted() {
	t.stamp = t.state.StartBy
	t.record(TimedOut, "", "refused the cancellation: no saga began")
	t.end(NotStarted)
	t.refuseCancel("there is nothing to cancel: it ended long ago, or never began")
}

// beginCancelled begins a saga only to take back what was given.
func (t *turn) beginCancelled(m Message) error {
	data, err := t.def.start.data(m)
	if err != nil {
		return err
	}
	t.state.Data, t.state.StartID, t.state.StartBy = data, m.ID, time.Time{}
	t.record(Started, "", "cancelled before it began")
	t.giveWhatWasGiven()
	t.turnBack(t.state.Reason)
	return nil
}

// cancelRequested undoes the saga if it runs, or completed not too long ago.
// Asking again changes nothing, and is not recorded: whoever asks a thousand
// times must not fill the timeline. When it was asked is the message's own
// time, so that nobody loses the window by waiting in our queue.
func (t *turn) cancelRequested(m Message) error {
	reason, err := t.def.cancel.said(m)
	if err != nil {
		return err
	}
	asked := t.now
	if !m.Time.IsZero() && m.Time.Before(asked) {
		asked = m.Time
	}
	switch {
	case t.state.Phase == Completed && asked.Sub(t.state.EndedAt) > t.def.cancel.window:
		if t.state.CancelRefused {
			return nil
		}
		why := "completed more than " + short(t.def.cancel.window) + " before"
		t.record(CancelRequested, "", "refused: "+why)
		t.refuseCancel(why)
	case t.state.Phase == Running || t.state.Phase == Completed:
		t.state.CancelAsked = true
		t.record(CancelRequested, "", reason)
		t.turnBack(reason)
	}
	return nil
}

// refuseCancel tells the one who asked for a cancellation that it is not granted.
func (t *turn) refuseCancel(why string) {
	t.state.CancelRefused = true
	if c := t.def.cancel.refuse; c != nil {
		id, _ := draw(t.state, "refuse cancel", false, t.state.Revision, t.stamp)
		t.emit("", c, Command{ID: id, Attempt: 1}, why)
	}
}

// said is the reason that a cancellation gives.
func (c *cancellation) said(m Message) (string, error) {
	if c.reason != nil {
		said, err := c.reason(m)
		if said = Text(said); said != "" || err != nil {
			return said, err
		}
	}
	return "cancellation was requested", nil
}
