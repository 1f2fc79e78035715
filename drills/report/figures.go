package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"time"
)

// Figure is one measured number.
type Figure struct {
	Name  string
	Value float64
	Unit  string
	// Target says what the figure should be, where something is promised: Value at least or at
	// most.
	Target *Target
}

// Target is a bound.
type Target struct {
	Bound   float64
	AtLeast bool
}

// Least is a target that a figure must reach; Most one that it must not exceed.
func Least(bound float64) *Target { return &Target{bound, true} }

// Most is described at Least.
func Most(bound float64) *Target { return &Target{bound, false} }

// Met says whether a figure is as promised.
func (f Figure) Met() bool {
	if f.Target == nil {
		return true
	}
	if f.Target.AtLeast {
		return f.Value >= f.Target.Bound
	}
	return f.Value <= f.Target.Bound
}

// String returns the figure as a line of three words: name, value, unit.
func (f Figure) String() string { return f.Name + " " + f.Number() + " " + f.Unit }

// Number is the value with as many digits as mean something.
func (f Figure) Number() string {
	switch {
	case f.Value >= 1000 || f.Value == float64(int64(f.Value)):
		return strconv.FormatFloat(f.Value, 'f', 0, 64)
	case f.Value >= 10:
		return strconv.FormatFloat(f.Value, 'f', 1, 64)
	default:
		return strconv.FormatFloat(f.Value, 'f', 3, 64)
	}
}

// Promise is the target in words.
func (f Figure) Promise() string {
	if f.Target == nil {
		return ""
	}
	bound := Figure{Value: f.Target.Bound}.Number()
	if f.Target.AtLeast {
		return "≥ " + bound
	}
	return "≤ " + bound
}

// Report is what a run of the bench has measured. It is for one goroutine.
type Report struct {
	out   io.Writer
	began time.Time
	parts []*Part
}

// Part is a section of the report.
type Part struct {
	Title, Text string
	Figures     []Figure
	charts      []Chart
	out         io.Writer
}

// New returns an empty report that prints each figure to out as it comes.
func New(out io.Writer) *Report { return &Report{out: out, began: time.Now()} }

// Part begins a section.
func (r *Report) Part(title, text string) *Part {
	p := &Part{Title: title, Text: text, out: r.out}
	r.parts = append(r.parts, p)
	return p
}

// Add notes a figure, and prints it.
func (p *Part) Add(name string, value float64, unit string, target *Target) {
	f := Figure{name, value, unit, target}
	p.Figures = append(p.Figures, f)
	fmt.Fprintln(p.out, f)
}

// Plot adds a chart.
func (p *Part) Plot(c Chart) { p.charts = append(p.charts, c) }

//go:embed bench.html
var benchBody string

var benchPage = pageTemplate(benchBody, nil)

// HTML writes the report as one page.
func (r *Report) HTML(w io.Writer, machine string) error {
	type section struct {
		*Part
		Charts []template.HTML
	}
	var sections []section
	for _, p := range r.parts {
		s := section{Part: p}
		for _, c := range p.charts {
			s.Charts = append(s.Charts, c.svg())
		}
		sections = append(sections, s)
	}
	err := benchPage.Execute(w, map[string]any{
		"Began": r.began.UTC().Format("2006-01-02 15:04 UTC"), "Machine": machine, "Parts": sections,
	})
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
