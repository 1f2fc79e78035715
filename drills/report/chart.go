package report

import (
	"fmt"
	"html/template"
	"strings"

	"waybill.example/drills/axis"
)

// point is a value at a time in seconds; one that is not known breaks the line.
type point struct {
	at, value float64
	known     bool
}

type series []point

type line struct {
	Name, Class string
	Points      series
}

// stretch is a time to be shaded.
type stretch struct {
	Label    string
	From, To float64
}

// chart is a plot over the seconds of a drill.
type chart struct {
	Title, Unit string
	Length      float64
	Faults      []stretch
	Lines       []line
}

// The chart in its own units; the page scales it.
const (
	width, height = 860.0, 190.0
	left, right   = 56.0, 12.0
	top, bottom   = 14.0, 24.0
)

// svg draws the chart. Every colour comes from the page's style sheet.
func (c chart) svg() template.HTML {
	most := 0.0
	for _, l := range c.Lines {
		for _, p := range l.Points {
			if p.known {
				most = max(most, p.value)
			}
		}
	}
	step, most := axis.Ticks(most)
	x := func(at float64) float64 { return left + at/max(c.Length, 1)*(width-left-right) }
	y := func(v float64) float64 { return height - bottom - v/most*(height-top-bottom) }

	var b strings.Builder
	fmt.Fprintf(&b, `<figure><figcaption>%s`, template.HTMLEscapeString(c.Title))
	if c.Unit != "" {
		fmt.Fprintf(&b, ` <span>%s</span>`, template.HTMLEscapeString(c.Unit))
	}
	for _, l := range c.Lines {
		fmt.Fprintf(&b, ` <b class="%s">%s</b>`, l.Class, template.HTMLEscapeString(l.Name))
	}
	fmt.Fprintf(&b, `</figcaption><svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(c.Title))
	for _, f := range c.Faults {
		fmt.Fprintf(&b, `<rect class="fault" x="%.1f" y="%g" width="%.1f" height="%g"><title>%s</title></rect>`,
			x(f.From), top, max(1, x(f.To)-x(f.From)), height-top-bottom, template.HTMLEscapeString(f.Label))
	}
	for v := 0.0; v <= most*1.001; v += step {
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`,
			left, width-right, y(v), y(v), left-6, y(v)+4, axis.Number(v))
	}
	seconds, _ := axis.Ticks(c.Length)
	for at := 0.0; at <= c.Length; at += seconds {
		fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%s s</text>`, x(at), height-6, axis.Number(at))
	}
	for _, l := range c.Lines {
		fmt.Fprintf(&b, `<path class="%s" d="%s"/>`, l.Class, l.Points.path(x, y))
	}
	b.WriteString(`</svg></figure>`)
	return template.HTML(b.String()) // every text in it was escaped above
}

// path draws a line through the points that are known.
func (s series) path(x, y func(float64) float64) string {
	var b strings.Builder
	pen := 'M'
	for _, p := range s {
		if !p.known {
			pen = 'M'
			continue
		}
		fmt.Fprintf(&b, "%c%.1f %.1f", pen, x(p.at), y(p.value))
		pen = 'L'
	}
	return b.String()
}
