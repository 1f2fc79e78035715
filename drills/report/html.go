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

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"rows": func(o *drill.Outcome) []htmlRow { return htmlRows(o) }, "charts": charts, "short": short, "recovery": recovery,
	"clock": func(t time.Time) string { return t.Format(time.DateTime) },
}).Parse(page))

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
	err := pageTemplate.Execute(w, map[string]any{"Outcomes": outcomes, "Passed": passed, "Of": len(outcomes)})
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
	var pending, waiting series
	for _, s := range o.Samples {
		at := s.At.Sub(began).Seconds()
		pending = append(pending, known64(at, s.Pending))
		waiting = append(waiting, known64(at, s.Outbox))
	}
	shade := make([]stretch, len(o.Faults))
	for i, f := range o.Faults {
		until := f.To
		if until.IsZero() {
			until = end
		}
		shade[i] = stretch{f.Label, f.From.Sub(began).Seconds(), until.Sub(began).Seconds()}
	}
	length := end.Sub(began).Seconds()
	list := []chart{
		{Title: "Orders", Unit: "per second", Length: length, Faults: shade, Lines: []line{{"accepted", "a", accepted}, {"failed", "c", failed}}},
		{Title: "Waiting", Unit: "", Length: length, Faults: shade, Lines: []line{{"PENDING orders", "a", pending}, {"outbox rows to publish", "b", waiting}}},
		{Title: "POST latency", Unit: "milliseconds", Length: length, Faults: shade, Lines: []line{{"median of a second", "a", median}, {"longest", "b", longest}}},
	}
	drawn := make([]template.HTML, len(list))
	for i, c := range list {
		drawn[i] = c.svg()
	}
	return drawn
}

func known64(at float64, n int64) point {
	return point{at, float64(n), n >= 0}
}

// perSecond sums the requests up by the second in which they were due.
func perSecond(o *drill.Outcome, began time.Time) (accepted, failed, median, longest series) {
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
		accepted = append(accepted, point{at, float64(s.accepted), true})
		failed = append(failed, point{at, float64(s.failed), true})
		slices.Sort(s.took)
		middle, most := 0.0, 0.0
		if len(s.took) > 0 {
			middle, most = milliseconds(s.took[len(s.took)/2]), milliseconds(s.took[len(s.took)-1])
		}
		median = append(median, point{at, middle, len(s.took) > 0})
		longest = append(longest, point{at, most, len(s.took) > 0})
	}
	return accepted, failed, median, longest
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
