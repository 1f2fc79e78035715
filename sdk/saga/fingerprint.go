package saga

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Fingerprint is the same for two definitions whose sagas can be told apart by nothing that is
// stored: the same steps in the same stages with the same messages. How long they wait, and why,
// what a condition asks and what attributes there are can change without a new version.
func (d *Definition) Fingerprint() string {
	var b strings.Builder
	line := func(parts ...string) { fmt.Fprintf(&b, "%q\n", parts) }
	line("saga", d.name, d.completed, d.cancelled, d.start.message)
	if d.cancel != nil {
		line("cancel", d.cancel.message)
	}
	if d.within != nil {
		line("within")
	}
	for n, stage := range d.stages {
		for _, i := range stage {
			s := d.steps[i]
			line("step", fmt.Sprint(n), s.name, fmt.Sprint(s.forever))
			if s.action == tells || s.action == awaits || s.action == letsPass {
				line("action", fmt.Sprint(s.action))
			}
			if s.needed != nil {
				line("if")
			}
			if s.command != nil {
				line("send", s.command.message)
			}
			for _, r := range s.replies {
				line("reply", r.message, fmt.Sprint(r.verdict))
			}
			if s.undo != nil {
				line("undo", s.undo.message, s.undo.reply)
			}
		}
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}
