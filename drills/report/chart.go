package report

import (
	"fmt"
	"html/template"
	"strings"
)

// Point is a place on a line. One that is not known breaks the line.
type Point struct {
	X, Y    float64
	Unknown bool
}

// Line is a named line of a chart.
type Line struct {
	Name   string
	Points []Point
	// Bad is drawn in the colour of failure.
	Bad bool
}

// Stretch is a part of the x axis to be shaded.
type Stretch struct {
	Label    string
	From, To float64
}

// Mark is a label at a place of the x axis.
type Mark struct {
	At    float64
	Label string
}

// Chart is a plot of lines.
type Chart struct {
	Title, Unit string
	// XUnit follows each number on the x axis.
	XUnit string
	// Length is where the x axis ends; 0: at the last point.
	Length float64
	// Marks replace the numbers of the x axis.
	Marks  []Mark
	Shaded []Stretch
	Lines  []Line
}

// The chart in its own units; the page scales it.
const (
	width, height = 860.0, 200.0
	left, right   = 56.0, 24.0
	top, bottom   = 14.0, 24.0

	colours   = 8
	badColour = 4
)

// svg draws the chart in the colours of the page's style sheet.
func (c Chart) svg() template.HTML {
	length, most := c.reach()
	step, most := ticks(most)
	x := func(v float64) float64 { return left + v/length*(width-left-right) }
	y := func(v float64) float64 { return height - bottom - v/most*(height-top-bottom) }

	var b strings.Builder
	fmt.Fprintf(&b, `<figure><figcaption>%s <span>%s</span>`, template.HTMLEscapeString(c.Title), template.HTMLEscapeString(c.Unit))
	for i, l := range c.Lines {
		fmt.Fprintf(&b, ` <b class="%s">%s</b>`, l.class(i), template.HTMLEscapeString(l.Name))
	}
	fmt.Fprintf(&b, `</figcaption><svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(c.Title))
	for _, s := range c.Shaded {
		fmt.Fprintf(&b, `<rect class="fault" x="%.1f" y="%g" width="%.1f" height="%g"><title>%s</title></rect>`,
			x(s.From), top, max(1, x(s.To)-x(s.From)), height-top-bottom, template.HTMLEscapeString(s.Label))
	}
	for v := 0.0; v <= most*1.001; v += step {
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`,
			left, width-right, y(v), y(v), left-6, y(v)+4, number(v))
	}
	for _, m := range c.marks(length) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`, x(m.At), height-6, template.HTMLEscapeString(m.Label))
	}
	for i, l := range c.Lines {
		fmt.Fprintf(&b, `<path class="%s" d="%s"/>`, l.class(i), l.path(x, y))
	}
	b.WriteString(`</svg></figure>`)
	return template.HTML(b.String()) // every text in it was escaped above
}

// reach is how far the axes have to go.
func (c Chart) reach() (length, most float64) {
	length = c.Length
	for _, l := range c.Lines {
		for _, p := range l.Points {
			if c.Length == 0 {
				length = max(length, p.X)
			}
			if !p.Unknown {
				most = max(most, p.Y)
			}
		}
	}
	return max(length, 1e-9), most
}

func (c Chart) marks(length float64) []Mark {
	if c.Marks != nil {
		return c.Marks
	}
	var marks []Mark
	step, _ := ticks(length)
	for at := 0.0; at <= length*1.001; at += step {
		marks = append(marks, Mark{at, number(at) + c.XUnit})
	}
	return marks
}

func (l Line) class(i int) string {
	if l.Bad {
		i = badColour
	}
	return fmt.Sprint("c", i%colours)
}

// path draws a line through the points that are known.
func (l Line) path(x, y func(float64) float64) string {
	var b strings.Builder
	pen := 'M'
	for _, p := range l.Points {
		if p.Unknown {
			pen = 'M'
			continue
		}
		fmt.Fprintf(&b, "%c%.1f %.1f", pen, x(p.X), y(p.Y))
		pen = 'L'
	}
	return b.String()
}
