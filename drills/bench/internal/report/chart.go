package report

import (
	"fmt"
	"html/template"
	"strings"

	"waybill.example/drills/axis"
)

// Point is a place on a line.
type Point struct{ X, Y float64 }

// Line is a named line of a chart.
type Line struct {
	Name   string
	Points []Point
}

// Chart is a plot of lines.
type Chart struct {
	Title, Unit string
	// XUnit follows each number on the x axis.
	XUnit string
	// Marks replace the numbers of the x axis.
	Marks []Mark
	Lines []Line
}

// Mark is a label at a place of the x axis.
type Mark struct {
	At    float64
	Label string
}

// The chart in its own units; the page scales it.
const (
	width, height = 860.0, 200.0
	left, right   = 56.0, 24.0
	top, bottom   = 14.0, 24.0
	colours       = 8
)

// svg draws the chart in the colours of the page's style sheet.
func (c Chart) svg() template.HTML {
	var farthest, most float64
	for _, l := range c.Lines {
		for _, p := range l.Points {
			farthest, most = max(farthest, p.X), max(most, p.Y)
		}
	}
	farthest = max(farthest, 1e-9)
	step, most := axis.Ticks(most)
	x := func(v float64) float64 { return left + v/farthest*(width-left-right) }
	y := func(v float64) float64 { return height - bottom - v/most*(height-top-bottom) }

	var b strings.Builder
	fmt.Fprintf(&b, `<figure><figcaption>%s <span>%s</span>`, template.HTMLEscapeString(c.Title), template.HTMLEscapeString(c.Unit))
	for i, l := range c.Lines {
		fmt.Fprintf(&b, ` <b class="c%d">%s</b>`, i%colours, template.HTMLEscapeString(l.Name))
	}
	fmt.Fprintf(&b, `</figcaption><svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(c.Title))
	for v := 0.0; v <= most*1.001; v += step {
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`,
			left, width-right, y(v), y(v), left-6, y(v)+4, axis.Number(v))
	}
	for _, m := range c.marks(farthest) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`, x(m.At), height-6, template.HTMLEscapeString(m.Label))
	}
	for i, l := range c.Lines {
		fmt.Fprintf(&b, `<path class="c%d" d="`, i%colours)
		pen := 'M'
		for _, p := range l.Points {
			fmt.Fprintf(&b, "%c%.1f %.1f", pen, x(p.X), y(p.Y))
			pen = 'L'
		}
		b.WriteString(`"/>`)
	}
	b.WriteString(`</svg></figure>`)
	return template.HTML(b.String()) // every text in it was escaped above
}

func (c Chart) marks(farthest float64) []Mark {
	if c.Marks != nil {
		return c.Marks
	}
	var marks []Mark
	step, _ := axis.Ticks(farthest)
	for at := 0.0; at <= farthest*1.001; at += step {
		marks = append(marks, Mark{at, axis.Number(at) + c.XUnit})
	}
	return marks
}
