// Package diagram draws a definition as an SVG for the console: forward from top to bottom, the way
// back beside it from bottom to top, and on both what happened: to one saga ([Of]), or to many
// ([Counted]). It uses the classes of the console's style sheet and no styles of its own, which the
// Content-Security-Policy would not let pass.
package diagram

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"strings"

	"waybill.example/sdk/saga"
)

// Overlay is what happened. Nodes and edges are named by what they are of: start, completed,
// cancelled, cancel (the way from the completed end back), and for each step step:NAME, undo:NAME,
// ok:NAME (a success), fail:NAME (a refusal), lost:NAME (given up).
type Overlay struct {
	Nodes map[string]Mark
	Edges map[string]Mark
}

// Mark is what is said of one node or edge.
type Mark struct {
	// Class is done, waiting, failed, undone or lit; empty: it was not come to.
	Class string
	Note  string // a time, a count, an attempt
	Link  string // an anchor on the page
}

// The measures, in pixels.
const (
	forwardX, forwardWidth = 14, 272
	backX, backWidth       = 446, 256
	width                  = backX + backWidth + 4
	boxHeight, boxGap      = 56, 14
	stageGap, pillHeight   = 52, 32
	stagePadding           = 10
	rail                   = backX + backWidth/2
	spine                  = forwardX + forwardWidth/2
)

// Draw returns the picture.
func Draw(d saga.Description, o Overlay) template.HTML {
	p := &picture{d: d, o: o}
	p.layout()
	fmt.Fprintf(&p.b, `<svg class="diagram" viewBox="0 0 %d %d" width="%d" height="%d" role="group" aria-label="%s">`,
		width, p.height, width, p.height, esc(fmt.Sprintf("State diagram of %s, version %d", d.Name, d.Version)))
	for _, class := range []string{"", "lit", "back", "back-lit"} {
		fmt.Fprintf(&p.b, `<defs><marker id="tip%s" class="tip %s" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>`, class, class)
	}
	p.forward()
	p.backward()
	p.b.WriteString("</svg>")
	return template.HTML(p.b.String()) //nolint:gosec // every text in it was escaped
}

// placed is a step with the top of its box.
type placed struct {
	saga.StepDescription

	y int
}

// stage is the steps that run in parallel.
type stage struct {
	steps       []placed
	top, bottom int
}

type picture struct {
	b      strings.Builder
	d      saga.Description
	o      Overlay
	stages []stage
	end    int // the top of the completed end
	height int
}

// layout places the boxes.
func (p *picture) layout() {
	y := 12 + pillHeight + stageGap
	for _, steps := range p.d.Stages {
		s := stage{top: y}
		if len(steps) > 1 {
			y += stagePadding
		}
		for i, step := range steps {
			if i > 0 {
				y += boxGap
			}
			s.steps = append(s.steps, placed{step, y})
			y += boxHeight
		}
		if len(steps) > 1 {
			y += stagePadding
		}
		s.bottom = y
		p.stages = append(p.stages, s)
		y += stageGap
	}
	p.end = y
	p.height = y + pillHeight + 14
}

func esc(s string) string { return html.EscapeString(s) }

// cut shortens what would not fit.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func (p *picture) text(x, y int, class, anchor, s string) {
	if s != "" {
		fmt.Fprintf(&p.b, `<text x="%d" y="%d" class="%s" text-anchor="%s">%s</text>`, x, y, class, cmp.Or(anchor, "start"), esc(s))
	}
}

// linked writes what draw does inside of a link, if there is one.
func (p *picture) linked(m Mark, draw func()) {
	if m.Link == "" {
		draw()
		return
	}
	fmt.Fprintf(&p.b, `<a href="%s">`, esc(m.Link))
	draw()
	p.b.WriteString("</a>")
}

// box is a step, or its undo.
func (p *picture) box(x, y, w int, class, name, line, title string, m Mark) {
	p.linked(m, func() {
		fmt.Fprintf(&p.b, `<g class="node %s %s"><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="9"/>`, class, m.Class, esc(title), x, y, w, boxHeight)
		p.text(x+14, y+23, "name", "", cut(name, 24))
		p.text(x+14, y+42, "small", "", cut(line, w/7))
		p.text(x+w-12, y+23, "note", "end", m.Note)
		p.b.WriteString("</g>")
	})
}

func (p *picture) pill(center, y int, class, name string, m Mark) {
	w := max(96, 8*len([]rune(name))+28)
	p.linked(m, func() {
		fmt.Fprintf(&p.b, `<g class="node pill %s %s"><rect x="%d" y="%d" width="%d" height="%d" rx="%d"/>`, class, m.Class, center-w/2, y, w, pillHeight, pillHeight/2)
		p.text(center, y+21, "name", "middle", cut(name, 34))
		p.b.WriteString("</g>")
	})
	p.text(center+w/2+6, y+11, "small", "", m.Note)
}

// edge is a line with a label beside it.
func (p *picture) edge(class, path string, x, y int, anchor, label string, m Mark) {
	tip := class
	if m.Class != "" {
		tip = strings.TrimPrefix(class+"-lit", "-")
	}
	fmt.Fprintf(&p.b, `<path d="%s" class="edge %s %s" marker-end="url(#tip%s)"/>`, path, class, m.Class, tip)
	if label == "" && m.Note == "" {
		return
	}
	p.linked(m, func() {
		fmt.Fprintf(&p.b, `<text x="%d" y="%d" class="label %s" text-anchor="%s">%s`, x, y, m.Class, cmp.Or(anchor, "start"), esc(cut(label, 34)))
		if m.Note != "" {
			fmt.Fprintf(&p.b, `<tspan class="note" dx="6">%s</tspan>`, esc(m.Note))
		}
		p.b.WriteString("</text>")
	})
}

// forward draws the way from the start to the completed end.
func (p *picture) forward() {
	p.pill(spine, 12, "start", p.d.StartOn, p.o.Nodes["start"])
	above, out, label := 12+pillHeight, p.o.Edges["start"], ""
	for _, s := range p.stages {
		p.edge("", fmt.Sprintf("M%d %dV%d", spine, above, s.top-1), spine+10, (above+s.top)/2+4, "", label, out)
		if len(s.steps) > 1 {
			fmt.Fprintf(&p.b, `<rect class="parallel" x="%d" y="%d" width="%d" height="%d" rx="14"/>`, forwardX-10, s.top, forwardWidth+20, s.bottom-s.top)
		}
		out, label = Mark{}, ""
		for _, step := range s.steps {
			p.step(step)
			ok := p.o.Edges["ok:"+step.Name]
			if len(s.steps) == 1 {
				out, label = ok, strings.Join(step.Success, " or ")
			} else if ok.Class != "" {
				out.Class = ok.Class
			}
		}
		above = s.bottom
	}
	p.edge("", fmt.Sprintf("M%d %dV%d", spine, above, p.end-1), spine+10, (above+p.end)/2+4, "", label, out)
	p.pill(spine, p.end, "good", p.d.Completed, p.o.Nodes["completed"])
}

func (p *picture) step(s placed) {
	line := s.Command
	switch s.Does {
	case saga.Awaits:
		line = "awaits " + strings.Join(s.Success, " or ")
	case saga.LetsTimePass:
		line = "waits " + s.After
	case saga.DoesNothing:
		line = "done before it began"
	case saga.Tells:
		line += ", not waited for"
	case saga.Asks:
	}
	if s.Conditional {
		line += ", if needed"
	}
	p.box(forwardX, s.y, forwardWidth, "step", s.Name, line, s.Name+": "+line, p.o.Nodes["step:"+s.Name])
}
