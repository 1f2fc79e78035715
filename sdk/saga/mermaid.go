package saga

import (
	"fmt"
	"slices"
	"strings"
)

// Mermaid returns the definition as a Mermaid state diagram.
func (d *Definition) Mermaid() string {
	m := mermaid{desc: d.Describe()}
	fmt.Fprintf(&m.b, "---\ntitle: %s, version %d\n---\nstateDiagram-v2\n", m.desc.Name, m.desc.Version)
	m.ways = []way{{"[*]", m.desc.StartOn}}
	for n, stage := range m.desc.Stages {
		m.stage(n, stage)
	}
	m.lead(m.desc.Completed)
	m.line("%s --> [*]", m.desc.Completed)
	if m.desc.CancelOn != "" {
		m.line("%s --> %s: %s within %s", m.desc.Completed, Compensating, m.desc.CancelOn, m.desc.Window)
	}
	m.undo()
	return m.b.String()
}

// mermaid is a diagram being written.
type mermaid struct {
	b    strings.Builder
	desc Description
	ways []way // that lead to what comes next
}

// way leads from a state by what happens there.
type way struct{ from, on string }

func (m *mermaid) line(format string, args ...any) { fmt.Fprintf(&m.b, "    "+format+"\n", args...) }

// lead draws the ways to a state.
func (m *mermaid) lead(to string) {
	for _, w := range m.ways {
		m.line("%s --> %s: %s", w.from, to, w.on)
	}
}

func (m *mermaid) stage(n int, stage []StepDescription) {
	at, needless := stage[0].Name, ""
	switch {
	case len(stage) > 1:
		at = fmt.Sprintf("stage%d", n+1)
		m.parallel(at, stage)
	case stage[0].Conditional:
		needless = at + "_if"
		m.line("state %s <<choice>>", needless)
	}
	if needless == "" {
		m.lead(at)
		m.ways = nil
	} else {
		m.lead(needless)
		m.line("%s --> %s: needed", needless, at)
		m.ways = []way{{needless, "not needed"}}
	}
	m.ways = append([]way{{at, successes(stage)}}, m.ways...)
	for _, s := range stage {
		m.failures(at, s)
	}
}

// parallel draws the steps of a stage side by side.
func (m *mermaid) parallel(at string, stage []StepDescription) {
	m.line("state %s {", at)
	for i, s := range stage {
		if i > 0 {
			m.line("    --")
		}
		m.line("    [*] --> %s: %s", s.Name, begins(s))
		m.line("    %s --> [*]: %s", s.Name, s.ends())
	}
	m.line("}")
}

// begins is how a step begins.
func begins(s StepDescription) string {
	words := s.Command
	switch s.Does {
	case Awaits:
		words = "awaits " + strings.Join(s.Success, " or ")
	case LetsTimePass:
		words = "waits"
	case DoesNothing:
		words = "already done"
	case Asks, Tells:
	}
	if s.Conditional {
		words += " if needed"
	}
	return words
}

func (m *mermaid) failures(at string, s StepDescription) {
	for _, f := range s.Failure {
		m.line("%s --> %s: %s", at, Compensating, f)
	}
	if s.GiveUp != "" {
		m.line("%s --> %s: %s", at, Compensating, s.GiveUp)
	}
	switch s.Does {
	case DoesNothing:
		m.line("note right of %s: %s", at, s.waitInWords())
	case Asks, Tells:
		m.line("note right of %s: %s: %s, %s", at, s.Name, s.Command, s.waitInWords())
	case Awaits, LetsTimePass:
		m.line("note right of %s: %s: %s", at, s.Name, s.waitInWords())
	}
}

func (m *mermaid) undo() {
	for _, stage := range slices.Backward(m.desc.Stages) {
		for _, s := range slices.Backward(stage) {
			if u := s.Undo; u != nil {
				m.line("note left of %s: undo %s: %s, answered by %s", Compensating, s.Name, u.Command, u.Reply)
			}
		}
	}
	if m.desc.Within != "" {
		m.line("note left of %s: not completed within %s: %s", Compensating, m.desc.Within, m.desc.OrElse)
	}
	m.line("%s --> %s: an undo has used up its attempts", Compensating, CompensationStuck)
	m.line("%s --> %s: its reply, or a retry", CompensationStuck, Compensating)
	m.line("%s --> %s: all undone", Compensating, m.desc.Cancelled)
	m.line("%s --> [*]", m.desc.Cancelled)
}

// successes are what ends a stage.
func successes(stage []StepDescription) string {
	var all []string
	for _, s := range stage {
		if ends := s.ends(); ends != "" {
			all = append(all, ends)
		}
	}
	if len(all) == 0 {
		return "at once"
	}
	return strings.Join(all, " and ")
}
