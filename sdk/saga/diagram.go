package saga

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Description is a definition as data for people and tools.
type Description struct {
	Name      string              `json:"name"`
	Version   int                 `json:"version"`
	StartOn   string              `json:"startOn" doc:"The message that begins a saga"`
	CancelOn  string              `json:"cancelOn,omitempty" doc:"The message that asks for a saga to be undone"`
	Window    string              `json:"cancelWindow,omitempty" doc:"How long after completion that is granted"`
	Stages    [][]StepDescription `json:"stages" doc:"In order; the steps of one stage run in parallel"`
	Completed string              `json:"completed" doc:"The end when every step succeeded"`
	Cancelled string              `json:"cancelled" doc:"The end when the saga was undone"`
}

// StepDescription is one step of a [Description].
type StepDescription struct {
	Name        string           `json:"name"`
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
	out := StepDescription{Name: s.name, AlreadyDone: s.alreadyDone, GiveUp: s.giveUp, NoUndo: s.noUndo}
	if s.command != nil {
		out.Topic = s.command.topic
		out.Command, out.Deadline, out.MaxWait = s.command.message, short(s.wait.Timeout), short(s.wait.MaxInterval)
		if !s.forever {
			out.Attempts = s.wait.MaxAttempts
		}
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

// waitInWords is a wait in words.
func (s StepDescription) waitInWords() string {
	if s.Attempts == 0 {
		return fmt.Sprintf("after %s asked again, until answered", s.Deadline)
	}
	return fmt.Sprintf("%d × %s and longer, then given up", s.Attempts, s.Deadline)
}

// Mermaid returns the definition as a Mermaid state diagram.
func (d *Definition) Mermaid() string {
	desc := d.Describe()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "    "+format+"\n", args...) }
	fmt.Fprintf(&b, "---\ntitle: %s, version %d\n---\nstateDiagram-v2\n", desc.Name, desc.Version)
	enter, on := "[*]", desc.StartOn
	for n, stage := range desc.Stages {
		at := stage[0].Name
		if len(stage) > 1 {
			at = fmt.Sprintf("stage%d", n+1)
			line("state %s {", at)
			for i, s := range stage {
				if i > 0 {
					line("    --")
				}
				line("    [*] --> %s: %s", s.Name, s.Command)
				line("    %s --> [*]: %s", s.Name, strings.Join(s.Success, " or "))
			}
			line("}")
		}
		line("%s --> %s: %s", enter, at, on)
		enter, on = at, successes(stage)
		for _, s := range stage {
			for _, f := range s.Failure {
				line("%s --> %s: %s", at, Compensating, f)
			}
			if s.GiveUp != "" {
				line("%s --> %s: %s", at, Compensating, s.GiveUp)
			}
			switch {
			case s.Command != "":
				line("note right of %s: %s: %s, %s", at, s.Name, s.Command, s.waitInWords())
			default:
				line("note right of %s: %s", at, s.AlreadyDone)
			}
		}
	}
	line("%s --> %s: %s", enter, desc.Completed, on)
	line("%s --> [*]", desc.Completed)
	if desc.CancelOn != "" {
		line("%s --> %s: %s within %s", desc.Completed, Compensating, desc.CancelOn, desc.Window)
	}
	d.mermaidUndo(line, desc)
	return b.String()
}

func (d *Definition) mermaidUndo(line func(string, ...any), desc Description) {
	for _, stage := range slices.Backward(desc.Stages) {
		for _, s := range slices.Backward(stage) {
			if u := s.Undo; u != nil {
				line("note left of %s: undo %s: %s, answered by %s", Compensating, s.Name, u.Command, u.Reply)
			}
		}
	}
	line("%s --> %s: an undo has used up its attempts", Compensating, CompensationStuck)
	line("%s --> %s: its reply, or a retry", CompensationStuck, Compensating)
	line("%s --> %s: all undone", Compensating, desc.Cancelled)
	line("%s --> [*]", desc.Cancelled)
}

// successes are the replies that end a stage.
func successes(stage []StepDescription) string {
	var all []string
	for _, s := range stage {
		if len(s.Success) > 0 {
			all = append(all, strings.Join(s.Success, " or "))
		}
	}
	if len(all) == 0 {
		return "at once"
	}
	return strings.Join(all, " and ")
}
