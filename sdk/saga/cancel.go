package saga

import (
	"encoding/json"
	"time"
)

// startWithin is how long a cancellation that came first, or a reply, waits for the message
// that starts its saga, before the client that asked is notified that there is nothing
// to cancel. The message is honoured also after that.
const startWithin = time.Minute

// cancelEarly remembers a cancellation for which there is no saga. Either it
// has overtaken the start, as an undo can overtake the deed, or the saga was
// forgotten long ago: that cannot be known yet, so the saga is neither begun nor
// ended.
func (a *application) cancelEarly(m Message) error {
	reason, err := a.def.cancel.said(m)
	if err != nil {
		return err
	}
	a.awaitStart(m)
	a.state.Reason, a.state.CancelAsked = reason, true
	a.record(CancelRequested, "", "came before the saga began: it will be undone as soon as it does")
	return nil
}

// awaitStart has a saga wait for the message that starts it.
func (a *application) awaitStart(m Message) {
	if !a.state.Exists() {
		a.state = State{
			ID: m.Key, Definition: a.def.name, Version: a.def.version, Steps: make([]StepState, len(a.def.steps)),
			Data: json.RawMessage("null"), StartedAt: a.now, Trace: m.Trace,
		}
	}
	a.state.Phase, a.state.StartBy = AwaitingStart, a.now.Add(startWithin)
}

// notStarted gives up waiting for the start.
func (a *application) notStarted() {
	a.stamp = a.state.StartBy
	a.end(NotStarted)
	if !a.state.CancelAsked {
		a.record(TimedOut, "", "no saga began: it ended long ago, or its start is a dead letter")
		return
	}
	a.record(TimedOut, "", "refused the cancellation: no saga began")
	a.refuseCancel("there is nothing to cancel: it ended long ago, or never began")
}

// beginCancelled begins a saga only to take back what was given.
func (a *application) beginCancelled(m Message) error {
	data, err := a.def.start.data(m)
	if err != nil {
		return err
	}
	a.state.StartID, a.state.StartBy = m.ID, time.Time{}
	if err := a.setData(data); err != nil {
		return err
	}
	a.record(Started, "", "cancelled before it began")
	a.markAlreadyDone()
	a.markAnswered()
	a.startCompensation(a.state.Reason)
	return nil
}

// cancelRequested undoes the saga if it runs, or completed not too long ago.
// Asking again changes nothing, and is not recorded: a client that asks a thousand
// times must not fill the timeline. When it was asked is the message's own
// time, so that nobody loses the window by waiting in our queue.
func (a *application) cancelRequested(m Message) error {
	reason, err := a.def.cancel.said(m)
	if err != nil {
		return err
	}
	asked := a.now
	if !m.Time.IsZero() && m.Time.Before(asked) {
		asked = m.Time
	}
	switch {
	case a.state.Phase == Completed && asked.Sub(a.state.EndedAt) > a.def.cancel.window:
		if a.state.CancelRefused {
			return nil
		}
		why := "completed more than " + short(a.def.cancel.window) + " before"
		a.record(CancelRequested, "", "refused: "+why)
		a.refuseCancel(why)
	case a.state.Phase == Running || a.state.Phase == Completed:
		a.state.CancelAsked = true
		a.record(CancelRequested, "", reason)
		a.startCompensation(reason)
	}
	return nil
}

// refuseCancel tells the one who asked for a cancellation that it is not granted.
func (a *application) refuseCancel(why string) {
	a.state.CancelRefused = true
	if c := a.def.cancel.refuse; c != nil {
		id, _ := deriveID(a.state, "refuse cancel", false, a.state.Revision, a.stamp)
		a.emit("", c, Command{ID: id, Attempt: 1}, why)
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
