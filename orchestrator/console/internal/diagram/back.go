package diagram

import (
	"fmt"
	"strings"
)

// backward draws the way back: each failure joins it at its step, and from there upward what was
// done is undone, the last first.
func (p *picture) backward() {
	p.pill(rail, 12, "bad", p.d.Cancelled, p.o.Nodes["cancelled"])
	to := 12 + pillHeight // where the way up goes next
	for _, s := range p.stages {
		for _, step := range s.steps {
			above := to
			if step.Undo != nil {
				m := p.o.Nodes["undo:"+step.Name]
				line := step.Undo.Command + " → " + step.Undo.Reply
				p.edge("back", fmt.Sprintf("M%d %dV%d", rail, step.y, to+1), 0, 0, "", "", Mark{Class: m.Class})
				p.box(backX, step.y, backWidth, "undo", "undo "+step.Name, line, line, m)
				to = step.y + boxHeight
			}
			p.failures(step, above)
		}
	}
	if p.d.CancelOn != "" {
		y, from := p.end+pillHeight/2, spine+max(96, 8*len([]rune(p.d.Completed))+28)/2
		p.edge("back", fmt.Sprintf("M%d %dH%dV%d", from, y, rail, to+1), (from+rail)/2, y-7, "middle", p.d.CancelOn, p.o.Edges["cancel"])
	}
}

// failures draws how a step turns the saga back: refused, there is nothing of it to undo, and the
// way goes past its own undo to what is above; given up, it is undone as well.
func (p *picture) failures(s placed, above int) {
	right, middle := forwardX+forwardWidth, (forwardX+forwardWidth+backX)/2
	if len(s.Failure) > 0 {
		y, join := s.y+18, s.y-12
		m := p.o.Edges["fail:"+s.Name]
		p.text(middle-7, y+14, "note", "middle", m.Note) // between the boxes both do not fit on one line
		m.Note = ""
		p.edge("back", fmt.Sprintf("M%d %dH%dV%dH%dV%d", right, y, backX-14, join, rail, above+1), middle-7, y-6, "middle",
			strings.Join(s.Failure, " or "), m)
	}
	if s.GiveUp != "" {
		y, path := s.y+44, fmt.Sprintf("M%d %dH%d", right, s.y+44, backX-1)
		if s.Undo == nil {
			path = fmt.Sprintf("M%d %dH%dV%d", right, y, rail, above+1)
		}
		p.edge("back", path, middle-7, y+14, "middle", lost(s.Attempts), p.o.Edges["lost:"+s.Name])
	}
}

func lost(attempts int) string {
	if attempts == 0 {
		return "not in time"
	}
	return fmt.Sprintf("no answer, %d ×", attempts)
}
