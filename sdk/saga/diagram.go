package saga

import (
	"fmt"
	"strings"
	"time"
)

// Description is a definition as data for people and tools.
type Description struct {
	Name       string              `json:"name"`
	Version    int                 `json:"version"`
	StartOn    string              `json:"startOn" doc:"The message that begins a saga"`
	CancelOn   string              `json:"cancelOn,omitempty" doc:"The message that asks for a saga to be undone"`
	Window     string              `json:"cancelWindow,omitempty" doc:"How long after completion that is granted"`
	Stages     [][]StepDescription `json:"stages" doc:"In order; the steps of one stage run in parallel"`
	Within     string              `json:"within,omitempty" doc:"How long a saga has from its start to its completion"`
	OrElse     string              `json:"orElse,omitempty" doc:"The reason of a saga that has not completed within that time"`
	Attributes []string            `json:"attributes,omitempty" doc:"The search attributes of its sagas"`
	Completed  string              `json:"completed" doc:"The end when every step succeeded"`
	Cancelled  string              `json:"cancelled" doc:"The end when the saga was undone"`
}

// Does is what a step does when its turn comes.
type Does string

// What a step can do.
const (
	Asks         Does = "send"        // sends a command and waits for its reply
	Tells        Does = "tell"        // sends a command and waits for nothing
	Awaits       Does = "await"       // waits for an event that no command asked for
	LetsTimePass Does = "time"        // lets time pass
	DoesNothing  Does = "alreadyDone" // it was done before the saga began
)

var doesOf = map[action]Does{asks: Asks, tells: Tells, awaits: Awaits, letsPass: LetsTimePass, done: DoesNothing}

// StepDescription is one step of a [Description].
type StepDescription struct {
	Name        string           `json:"name"`
	Does        Does             `json:"does" enum:"send,tell,await,time,alreadyDone"`
	Conditional bool             `json:"conditional,omitzero" doc:"True where the saga's data decides whether the step is carried out"`
	After       string           `json:"after,omitempty" doc:"The time that the step lets pass"`
	AlreadyDone string           `json:"alreadyDone,omitempty" doc:"Why the step sends nothing"`
	Command     string           `json:"command,omitempty"`
	Topic       string           `json:"topic,omitempty" doc:"Where the command and its undo are sent"`
	Success     []string         `json:"success,omitempty"`
	Failure     []string         `json:"failure,omitempty"`
	RetryLater  []string         `json:"retryLater,omitempty"`
	Deadline    string           `json:"deadline,omitempty" doc:"How long the first attempt waits"`
	MaxWait     string           `json:"maxWait,omitempty" doc:"How long an attempt waits at most"`
	Attempts    int              `json:"attempts,omitzero" doc:"Absent where the step is never given up"`
	GiveUp      string           `json:"giveUp,omitempty" doc:"The saga's reason when the step never answered"`
	Undo        *UndoDescription `json:"undo,omitempty"`
	NoUndo      string           `json:"noUndo,omitempty" doc:"Why there is nothing to undo"`
}

// UndoDescription is the compensation of a step.
type UndoDescription struct {
	Command  string `json:"command"`
	Reply    string `json:"reply"`
	Deadline string `json:"deadline"`
	Attempts int    `json:"attempts" doc:"Attempts before the saga shows as COMPENSATION_STUCK"`
}

// Describe returns the definition as data.
func (d *Definition) Describe() Description {
	out := Description{
		Name: d.name, Version: d.version, StartOn: d.start.message,
		Completed: d.completed, Cancelled: d.cancelled,
	}
	if d.cancel != nil {
		out.CancelOn, out.Window = d.cancel.message, short(d.cancel.window)
	}
	if d.within != nil {
		out.Within, out.OrElse = short(d.within.after), d.within.reason
	}
	out.Attributes = d.AttributeNames()
	for _, stage := range d.stages {
		var steps []StepDescription
		for _, i := range stage {
			steps = append(steps, d.steps[i].describe())
		}
		out.Stages = append(out.Stages, steps)
	}
	return out
}

func (s *step) describe() StepDescription {
	out := StepDescription{
		Name: s.name, Does: doesOf[s.action], Conditional: s.needed != nil,
		AlreadyDone: s.alreadyDone, GiveUp: s.giveUp, NoUndo: s.noUndo,
	}
	if s.command != nil {
		out.Command, out.Topic = s.command.message, s.command.topic
	}
	switch s.action {
	case asks:
		out.Deadline, out.MaxWait = short(s.wait.Timeout), short(s.wait.MaxInterval)
		if !s.forever {
			out.Attempts = s.wait.MaxAttempts
		}
	case awaits:
		out.Deadline = short(s.wait.Timeout)
	case letsPass:
		out.After = short(s.after)
	case nothing, done, tells:
	}
	for _, r := range s.replies {
		switch r.verdict {
		case succeeded:
			out.Success = append(out.Success, r.message)
		case failed:
			out.Failure = append(out.Failure, r.message)
		case retryLater:
			out.RetryLater = append(out.RetryLater, r.message)
		}
	}
	if u := s.undo; u != nil {
		out.Topic = u.topic
		out.Undo = &UndoDescription{Command: u.message, Reply: u.reply, Deadline: short(u.wait.Timeout), Attempts: u.wait.MaxAttempts}
	}
	return out
}

// short writes 1m30s, 2m and 1h instead of 1m30s, 2m0s and 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// waitInWords is what the step does, and for how long, in words.
func (s StepDescription) waitInWords() string {
	words := ""
	switch s.Does {
	case DoesNothing:
		words = s.AlreadyDone
	case Tells:
		words = "sent, not waited for"
	case Awaits:
		words = "for " + s.Deadline + " at most"
	case LetsTimePass:
		words = "waits " + s.After
	case Asks:
		words = fmt.Sprintf("%d × %s and longer, then given up", s.Attempts, s.Deadline)
		if s.Attempts == 0 {
			words = fmt.Sprintf("after %s sent again, until answered", s.Deadline)
		}
	}
	if s.Conditional {
		words += "; if needed"
	}
	return words
}

// ends is what ends the step.
func (s StepDescription) ends() string {
	switch s.Does {
	case Tells:
		return "sent"
	case LetsTimePass:
		return "after " + s.After
	case DoesNothing:
		return ""
	case Asks, Awaits:
	}
	return strings.Join(s.Success, " or ")
}
