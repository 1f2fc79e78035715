package main

import (
	"context"
	"errors"

	"waybill.example/devstack/stack"
	"waybill.example/drills/bench/internal/procstat"
	"waybill.example/drills/load"
	"waybill.example/drills/report"
)

const mebibyte = 1 << 20

// memory watches the Go processes at half of the highest rate.
func (b *bench) memory(ctx context.Context) error {
	if !procstat.Supported {
		return errors.New("this system does not tell how much memory a process has")
	}
	rate := max(200, b.sagaRate/2)
	t, err := try(ctx, b.sys, load.Config{Rate: rate}, b.Memory, nil)
	if err != nil {
		return err
	}
	section := b.report.Part("Memory", "The resident memory of each Go process at half of the highest rate: the most, and how much the last quarter has more than the second.")
	chart := report.Chart{Title: "Resident memory", Unit: "MiB", XUnit: " s"}
	for _, name := range []string{stack.Orders, stack.Inventory, stack.Orchestrator, stack.Relay, stack.Broker} {
		line := report.Line{Name: name}
		most := 0.0
		for _, m := range t.moments {
			held := float64(m.Usage[name].Memory) / mebibyte
			most = max(most, held)
			line.Points = append(line.Points, report.Point{X: m.At.Sub(t.moments[0].At).Seconds(), Y: held})
		}
		chart.Lines = append(chart.Lines, line)
		var bound *report.Target
		if name != stack.Broker { // the embedded broker is no part of Waybill
			bound = report.Most(150)
		}
		section.Add("memory_max_"+name, most, "MiB", bound)
		quarter := len(line.Points) / 4
		section.Add("memory_growth_"+name, 100*(mean(line.Points[3*quarter:])/mean(line.Points[quarter:2*quarter])-1), "%", nil)
	}
	section.Plot(chart)
	return nil
}

func mean(points []report.Point) (sum float64) {
	for _, p := range points {
		sum += p.Y / float64(len(points))
	}
	return sum
}
