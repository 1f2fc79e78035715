package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"waybill.example/drills/drill"
)

//go:embed drills.html
var drillsBody string

var drillsPage = pageTemplate(drillsBody, template.FuncMap{
	"rows": func(o *drill.Outcome) []htmlRow { return htmlRows(o) }, "charts": charts, "short": short, "recovery": recovery,
	"clock": func(t time.Time) string { return t.Format(time.DateTime) },
})

type htmlRow struct{ Name, Value string }

func htmlRows(o *drill.Outcome) []htmlRow {
	var list []htmlRow
	for _, r := range rows(o) {
		list = append(list, htmlRow{r.name, r.value})
	}
	return list
}

// HTML writes one file that needs nothing else: no script, no network, and colours that follow the
// reader's choice of light or dark.
func HTML(w io.Writer, outcomes []*drill.Outcome) error {
	passed := 0
	for _, o := range outcomes {
		if o.Passed() {
			passed++
		}
	}
	err := drillsPage.Execute(w, map[string]any{"Outcomes": outcomes, "Passed": passed, "Of": len(outcomes)})
	if err != nil {
		return fmt.Errorf("render the report: %w", err)
	}
	return nil
}

// charts draws a drill's time line.
func charts(o *drill.Outcome) []template.HTML {
	if len(o.Samples) == 0 {
		return nil
	}
	began := o.Samples[0].At
	end := o.Samples[len(o.Samples)-1].At
	accepted, failed, median, longest := perSecond(o, began)
	var pending, waiting []Point
	for _, s := range o.Samples {
		at := s.At.Sub(began).Seconds()
		pending = append(pending, known64(at, s.Pending))
		waiting = append(waiting, known64(at, s.Outbox))
	}
	shade := make([]Stretch, len(o.Faults))
	for i, f := range o.Faults {
		until := f.To
		if until.IsZero() {
			until = end
		}
		shade[i] = Stretch{f.Label, f.From.Sub(began).Seconds(), until.Sub(began).Seconds()}
	}
	length := end.Sub(began).Seconds()
	list := []Chart{
		{Title: "Orders", Unit: "per second", XUnit: " s", Length: length, Shaded: shade, Lines: []Line{{Name: "accepted", Points: accepted}, {Name: "failed", Points: failed, Bad: true}}},
		{Title: "Waiting", Unit: "", XUnit: " s", Length: length, Shaded: shade, Lines: []Line{{Name: "PENDING orders", Points: pending}, {Name: "outbox rows to publish", Points: waiting}}},
		{Title: "POST latency", Unit: "milliseconds", XUnit: " s", Length: length, Shaded: shade, Lines: []Line{{Name: "median of a second", Points: median}, {Name: "longest", Points: longest}}},
	}
	drawn := make([]template.HTML, len(list))
	for i, c := range list {
		drawn[i] = c.svg()
	}
	return drawn
}

func known64(at float64, n int64) Point {
	return Point{X: at, Y: float64(n), Unknown: n < 0}
}

// perSecond sums the requests up by the second in which they were due.
func perSecond(o *drill.Outcome, began time.Time) (accepted, failed, median, longest []Point) {
	type second struct {
		accepted, failed int
		took             []time.Duration
	}
	seconds := map[int]*second{}
	last := 0
	for _, e := range o.Requests {
		n := max(0, int(e.Due.Sub(began).Seconds()))
		last = max(last, n)
		if seconds[n] == nil {
			seconds[n] = &second{}
		}
		if e.Accepted() {
			seconds[n].accepted++
			seconds[n].took = append(seconds[n].took, e.Latency())
		} else {
			seconds[n].failed++
		}
	}
	for n := range last { // the last one is not whole
		s, some := seconds[n]
		if !some {
			s = &second{}
		}
		at := float64(n) + 0.5
		accepted = append(accepted, Point{X: at, Y: float64(s.accepted)})
		failed = append(failed, Point{X: at, Y: float64(s.failed)})
		slices.Sort(s.took)
		middle, most := 0.0, 0.0
		if len(s.took) > 0 {
			middle, most = milliseconds(s.took[len(s.took)/2]), milliseconds(s.took[len(s.took)-1])
		}
		median = append(median, Point{X: at, Y: middle, Unknown: len(s.took) == 0})
		longest = append(longest, Point{X: at, Y: most, Unknown: len(s.took) == 0})
	}
	return accepted, failed, median, longest
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
