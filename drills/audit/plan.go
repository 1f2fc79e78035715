package audit

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"waybill.example/chassis/terminal"
)

// Plan is what an operator runs about the findings of a pass, in this order.
type Plan struct {
	At    time.Time
	Steps []Step
	// Later counts findings that are left for the next plan: they may go away with this one.
	Later int
	// Left says of which checks findings are left for the next plan, and why: another step is
	// likely to have repaired them.
	Left []string
	// Open counts what was too young to be judged.
	Open int
}

// Step is what is run about the findings of one check.
type Step struct {
	Check Check
	// Why says what was found, of the first finding, and how many there are.
	Why      string
	Before   string   // what must be so before the commands are run; "" asks for nothing
	Commands []string // each once
	// Look are commands that change nothing, of findings that a person has to decide about.
	Look []string
}

// repairOrder has what others depend on before them: messages that are stuck or lost before what
// their absence has led to, and what places or cancels orders last.
var repairOrder = []Check{Unhealthy, Delivered, Handled, Origin, Once, Ordered, Announced, Terminal, Reserved, Agreed, Stock, Placed, Accepted}

// Plan orders what the findings propose. Orders that can be given back come before everything else,
// which is not judged until they are there.
func (r Report) Plan() Plan {
	plan := Plan{At: r.At, Open: r.Open}
	missing := slices.ContainsFunc(r.Findings(), func(f Finding) bool { return f.recovers })
	sent := sentAgain(r.Findings())
	for _, check := range repairOrder {
		var found []Finding
		for _, c := range r.Checks {
			if c.Check == check {
				found = c.Findings
			}
		}
		if missing {
			all := len(found)
			found = slices.DeleteFunc(slices.Clone(found), func(f Finding) bool { return !f.recovers || check != Agreed })
			plan.Later += all - len(found)
		}
		kept := withoutSent(found, sent)
		if len(kept) > 0 {
			plan.Steps = append(plan.Steps, step(check, kept))
		}
		if left := len(found) - len(kept); left > 0 {
			plan.Left = append(plan.Left, fmt.Sprintf("%s: %d findings about orders of which a message is sent or applied again above", check, left))
		}
	}
	return plan
}

// sentAgain are the keys of which a message waits that the plan has sent, or applied, again.
func sentAgain(all []Finding) map[string]bool {
	keys := map[string]bool{}
	for _, f := range all {
		for key := range strings.SplitSeq(f.keys, "\x00") {
			keys[key] = keys[key] || key != "" && f.sends
		}
	}
	return keys
}

// withoutSent leaves out what else is found about those keys: to ask an order's saga, or to cancel
// it, would be a second way to the same end, and perhaps to another.
func withoutSent(found []Finding, sent map[string]bool) (kept []Finding) {
	return slices.DeleteFunc(slices.Clone(found), func(f Finding) bool {
		return !f.ofMessage && slices.ContainsFunc(strings.Split(f.keys, "\x00"), func(key string) bool { return sent[key] })
	})
}

// beforeMissing is what recovering orders from sagas needs.
const beforeMissing = "Orders is stopped (after a failover it may run: it has skipped ids), and the orchestrator has read orders.v1 to its end: docs/backups.md says how to see it"

func step(check Check, found []Finding) Step {
	s := Step{Check: check, Why: found[0].Subject + ": " + found[0].Problem}
	if len(found) > 1 {
		s.Why += fmt.Sprintf("; and %d more like it", len(found)-1)
	}
	for _, f := range found {
		to := &s.Commands
		if f.Looks {
			to = &s.Look
		}
		if f.recovers {
			s.Before = beforeMissing
		}
		if f.Repair != "" && !slices.Contains(*to, f.Repair) {
			*to = append(*to, f.Repair)
		}
	}
	return s
}

// Commands is how many commands the plan runs.
func (p Plan) Commands() (n int) {
	for _, s := range p.Steps {
		n += len(s.Commands)
	}
	return n
}

// Write writes the plan as a script for a POSIX shell, to be read before it is run. It begins with
// what is to be so, and ends with what to do next; what a person has to decide about is in
// comments.
func (p Plan) Write(w io.Writer) {
	fmt.Fprintf(w, "# What the audit of %s proposes. Read it, then: . .waybill/env && sh -e FILE\n", p.At.UTC().Format(time.RFC3339))
	for _, s := range p.Steps {
		fmt.Fprintf(w, "\n# %s: %s\n", s.Check, terminal.Clean(s.Why))
		if s.Before != "" {
			fmt.Fprintf(w, "# Before: %s.\n", s.Before)
		}
		for _, command := range s.Commands {
			fmt.Fprintln(w, command)
		}
		for _, command := range s.Look {
			fmt.Fprintf(w, "# To decide: %s\n", terminal.Clean(command))
		}
	}
	for _, left := range p.Left {
		fmt.Fprintf(w, "\n# Left for the next audit: %s.\n", left)
	}
	switch {
	case len(p.Steps) == 0 && p.Open == 0:
		fmt.Fprintln(w, "# Nothing was found.")
	case p.Later > 0:
		fmt.Fprintf(w, "\n# Then start Orders and audit again: %d more findings may go away with this.\n", p.Later)
	default:
		fmt.Fprintf(w, "\n# Then audit again; %d orders and messages were too young to be judged.\n", p.Open)
	}
}
