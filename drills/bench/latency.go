package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"waybill.example/drills/bench/internal/environment"
	"waybill.example/drills/load"
	"waybill.example/drills/report"
)

// followed is how many orders a second are watched until a client sees them CONFIRMED. Each is
// looked at a dozen times or more: with fifty a second, looking took most of a core.
const followed = 5

// latency measures POST and confirmation at two fixed rates and at 70 % of the highest.
func (b *bench) latency(ctx context.Context) error {
	section := b.report.Part("Latency", "From the moment when a POST was due to its answer, and until a client that looks every millisecond sees the order CONFIRMED.")
	type point struct {
		name     string
		rate     float64
		p50, p99 *report.Target // of confirm
	}
	points := []point{
		{"50", 50, report.Most(8), report.Most(30)},
		{"500", 500, report.Most(10), report.Most(40)},
	}
	if b.sagaRate > 0 {
		points = append(points, point{"70pct", 0.7 * b.sagaRate, nil, nil})
	}
	var posts, confirms []report.Line
	for _, p := range points {
		t, err := b.followedTrial(ctx, b.sys, p.rate)
		if err != nil {
			return err
		}
		addQuantiles(section, "post", p.name, t.load.Post(), nil, nil)
		addQuantiles(section, "confirm", p.name, t.load.Confirm(), p.p50, p.p99)
		label := fmt.Sprintf("at %.0f/s", p.rate)
		posts, confirms = append(posts, quantiles(label, t.load.Post())), append(confirms, quantiles(label, t.load.Confirm()))
	}
	section.Plot(report.Chart{Title: "POST answered", Unit: "ms, by percentile", Marks: quantileMarks, Lines: posts})
	section.Plot(report.Chart{Title: "Order CONFIRMED", Unit: "ms, by percentile", Marks: quantileMarks, Lines: confirms})
	return nil
}

// followedTrial warms a system up at a rate, and then measures it.
func (b *bench) followedTrial(ctx context.Context, sys *environment.System, rate float64) (*trial, error) {
	if _, err := try(ctx, sys, load.Config{Rate: rate}, min(3*time.Second, b.Latency/3), nil); err != nil {
		return nil, err
	}
	return try(ctx, sys, load.Config{Rate: rate, Follow: followed}, b.Latency, nil)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func addQuantiles(section *report.Part, what, rate string, h *load.Histogram, p50, p99 *report.Target) {
	section.Add(what+"_p50_"+rate, milliseconds(h.Quantile(0.5)), "ms", p50)
	section.Add(what+"_p99_"+rate, milliseconds(h.Quantile(0.99)), "ms", p99)
	section.Add(what+"_p999_"+rate, milliseconds(h.Quantile(0.999)), "ms", nil)
}

// quantileMarks are places on an axis on which each further nine is as far as the last.
var quantileMarks = []report.Mark{{At: 0, Label: "0"}, {At: nines(0.5), Label: "50 %"}, {At: 1, Label: "90 %"}, {At: 2, Label: "99 %"}, {At: 3, Label: "99.9 %"}}

func nines(q float64) float64 { return -math.Log10(1 - q) }

// quantiles plots a distribution.
func quantiles(name string, h *load.Histogram) report.Line {
	line := report.Line{Name: name}
	for x := 0.0; x <= 3.0001; x += 0.1 {
		line.Points = append(line.Points, report.Point{X: x, Y: milliseconds(h.Quantile(1 - math.Pow(10, -x)))})
	}
	return line
}
