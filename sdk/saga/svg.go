package saga

import (
	"fmt"
	"html"
	"strings"
)

// The measures of the picture, in pixels.
const (
	boxWidth, boxHeight = 300, 92
	gapX, gapY          = 56, 56
	margin              = 24
	textLine            = 17
)

// SVG returns the definition as a picture that needs nothing else to be shown:
// the stages from top to bottom, the steps of one stage side by side, each
// with its command, replies and undo; the way back on the right.
func (d *Definition) SVG() string {
	p := picture{desc: d.Describe()}
	for _, stage := range p.desc.Stages {
		p.columns = max(p.columns, len(stage))
	}
	p.right = margin + p.columns*(boxWidth+gapX)
	width := p.right + boxWidth + margin
	p.begin(width, len(p.desc.Stages))
	for n, stage := range p.desc.Stages {
		p.stage(n, stage)
	}
	p.ends()
	p.b.WriteString("</svg>\n")
	return p.b.String()
}

type picture struct {
	b       strings.Builder
	desc    Description
	columns int
	right   int // where the column of the way back begins
}

const svgStyle = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2933}.name{font-weight:600;font-size:14px}.small{font-size:11.5px;fill:#52606d}
.undo{fill:#9b2c2c;font-size:11.5px}.box{fill:#fff;stroke:#829ab1;stroke-width:1.2}.end{fill:#e3f9e5;stroke:#3f9142}
.back{fill:#fff5f5;stroke:#c53030}.line{stroke:#52606d;stroke-width:1.4;fill:none}.fail{stroke:#c53030;stroke-dasharray:5 4}
</style>
<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#52606d"/></marker></defs>
`

func (p *picture) top(stage int) int { return 104 + stage*(boxHeight+gapY) }

func (p *picture) begin(width, stages int) {
	height := p.top(stages) + 64 + margin
	fmt.Fprintf(&p.b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n",
		width, height, width, height)
	p.b.WriteString(svgStyle)
	title := fmt.Sprintf("%s, version %d", p.desc.Name, p.desc.Version)
	fmt.Fprintf(&p.b, "<title>%s</title>\n", html.EscapeString(title))
	p.text(margin, 28, "name", title)
	p.text(margin, 50, "small", "starts on "+p.desc.StartOn)
	if p.desc.CancelOn != "" {
		p.text(margin, 70, "small", fmt.Sprintf("undone on %s, also within %s of %s", p.desc.CancelOn, p.desc.Window, p.desc.Completed))
	}
	if p.desc.Within != "" {
		p.text(margin, 88, "small", fmt.Sprintf("undone unless %s within %s of its start", p.desc.Completed, p.desc.Within))
	}
}

func (p *picture) text(x, y int, class, s string) {
	fmt.Fprintf(&p.b, "<text x=\"%d\" y=\"%d\" class=\"%s\">%s</text>\n", x, y, class, html.EscapeString(s))
}

func (p *picture) box(x, y, height int, class string) {
	fmt.Fprintf(&p.b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"8\" class=\"box %s\"/>\n", x, y, boxWidth, height, class)
}

func (p *picture) arrow(class string, x1, y1, x2, y2 int) {
	fmt.Fprintf(&p.b, "<path d=\"M%d %dL%d %d\" class=\"line %s\" marker-end=\"url(#a)\"/>\n", x1, y1, x2, y2, class)
}

func (p *picture) stage(n int, steps []StepDescription) {
	y := p.top(n)
	for i, s := range steps {
		x := margin + i*(boxWidth+gapX)
		p.box(x, y, boxHeight, "")
		p.text(x+12, y+textLine+4, "name", s.Name)
		p.step(x, y, s)
		p.arrow("", x+boxWidth/2, y+boxHeight, margin+boxWidth/2, p.top(n+1)-2)
	}
	var failures []string
	givesUp := false
	for _, s := range steps {
		failures = append(failures, s.Failure...)
		givesUp = givesUp || s.GiveUp != ""
	}
	if givesUp {
		failures = append(failures, "silence")
	}
	if len(failures) > 0 {
		last := margin + len(steps)*(boxWidth+gapX) - gapX
		p.arrow("fail", last, y+boxHeight/2, p.right-2, y+boxHeight/2)
		p.text(p.right+8, y+boxHeight/2-6, "undo", "on "+strings.Join(failures, ", "))
		p.text(p.right+8, y+boxHeight/2+12, "small", "what was done is undone,")
		p.text(p.right+8, y+boxHeight/2+26, "small", "the last step first")
	}
}

// step writes what a step does into its box.
func (p *picture) step(x, y int, s StepDescription) {
	switch s.Does {
	case DoesNothing, LetsTimePass:
		p.text(x+12, y+2*textLine+4, "small", s.waitInWords())
	case Asks:
		p.text(x+12, y+2*textLine+4, "", s.Command+" → "+strings.Join(s.Success, ", "))
		p.text(x+12, y+3*textLine+4, "small", s.waitInWords())
	case Tells:
		p.text(x+12, y+2*textLine+4, "", s.Command)
		p.text(x+12, y+3*textLine+4, "small", s.waitInWords())
	case Awaits:
		p.text(x+12, y+2*textLine+4, "", "awaits "+strings.Join(s.Success, ", "))
		p.text(x+12, y+3*textLine+4, "small", s.waitInWords())
	}
	if s.Undo != nil {
		p.text(x+12, y+4*textLine+6, "undo", "undo: "+s.Undo.Command+" → "+s.Undo.Reply)
	} else {
		p.text(x+12, y+4*textLine+6, "small", "no undo")
	}
}

func (p *picture) ends() {
	y := p.top(len(p.desc.Stages))
	p.box(margin, y, 44, "end")
	p.text(margin+12, y+27, "name", p.desc.Completed)
	p.box(p.right, y, 44, "back")
	p.text(p.right+12, y+27, "name", p.desc.Cancelled)
	if p.desc.CancelOn != "" {
		p.arrow("fail", margin+boxWidth, y+22, p.right-2, y+22)
	}
}
