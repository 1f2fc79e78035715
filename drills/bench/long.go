package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"waybill.example/drills/bench/internal/environment"
	"waybill.example/drills/load"
	"waybill.example/drills/report"
)

// longRate is the rate of a long run where no highest rate is known, in orders per second.
const longRate = 500

// long watches the tables under load for minutes: whether autovacuum keeps up with the dead rows,
// and latency and space stay what they are.
func (b *bench) long(ctx context.Context) error {
	section := b.report.Part("Long run", "The tables at nine tenths of the highest rate. Dead rows are those that autovacuum has not yet taken away, at most, per hundred rows. Bytes are what the three databases grow by. Confirmed is from an order's transaction to the one that confirmed it, in the first and the last quarter of the run.")
	rate := cmp.Or(0.9*b.sagaRate, longRate)
	var marks []mark
	var failed error
	look := func(_ *load.Generator, m moment) {
		if failed == nil && (len(marks) == 0 || m.At.Sub(marks[len(marks)-1].at) > b.Long/40) {
			var one mark
			one, failed = b.mark(ctx, m)
			marks = append(marks, one)
		}
	}
	if _, err := try(ctx, b.sys, load.Config{Rate: rate}, b.Long, look); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if len(marks) == 0 {
		return fmt.Errorf("--long %s is too short to see anything", b.Long)
	}
	section.Add("long_rate", rate, "orders/s", nil)
	section.Add("long_time", b.Long.Seconds(), "s", nil)
	addTables(section, marks)
	return b.addDrift(ctx, section, marks)
}

// mark is the tables at one moment of a long run.
type mark struct {
	at       time.Time
	accepted int64
	last     int64 // order
	tables   []environment.Table
}

func (b *bench) mark(ctx context.Context, m moment) (mark, error) {
	last, err := b.sys.LastOrder(ctx)
	if err != nil {
		return mark{}, err
	}
	tables, err := b.sys.Tables(ctx)
	return mark{m.At, m.accepted, last, tables}, err
}

// addTables adds how many dead rows each table that is updated had at most, and how often it was
// vacuumed.
func addTables(section *report.Part, marks []mark) {
	chart := report.Chart{Title: "Dead rows", Unit: "per 100 rows", XUnit: " s"}
	first, last := marks[0], marks[len(marks)-1]
	for i, table := range last.tables {
		if table.Updated == first.tables[i].Updated {
			continue
		}
		line := report.Line{Name: table.Name}
		most := 0.0
		for _, m := range marks {
			most = max(most, m.tables[i].DeadShare())
			line.Points = append(line.Points, report.Point{X: m.at.Sub(first.at).Seconds(), Y: m.tables[i].DeadShare()})
		}
		section.Add("long_dead_"+table.Name, most, "%", nil)
		section.Add("long_vacuums_"+table.Name, float64(table.Vacuums-first.tables[i].Vacuums), "times", nil)
		section.Add("long_in_place_"+table.Name, 100*float64(table.InPlace-first.tables[i].InPlace)/float64(table.Updated-first.tables[i].Updated), "% of updates", nil)
		chart.Lines = append(chart.Lines, line)
	}
	section.Plot(chart)
}

// addDrift compares the first with the last quarter: latency, and the space that an order takes in
// each half.
func (b *bench) addDrift(ctx context.Context, section *report.Part, marks []mark) error {
	n := len(marks)
	if n < 4 {
		return nil // too short to tell
	}
	var p50, p99 [2]time.Duration
	for i, span := range [2][2]mark{{marks[0], marks[n/4]}, {marks[n-1-n/4], marks[n-1]}} {
		var err error
		if p50[i], p99[i], err = b.sys.Confirmed(ctx, span[0].last, span[1].last); err != nil {
			return err
		}
	}
	section.Add("long_confirm_p50_first", milliseconds(p50[0]), "ms", nil)
	section.Add("long_confirm_p50_last", milliseconds(p50[1]), "ms", report.Most(1.5*milliseconds(p50[0])))
	section.Add("long_confirm_p99_first", milliseconds(p99[0]), "ms", nil)
	section.Add("long_confirm_p99_last", milliseconds(p99[1]), "ms", nil)
	perOrder := func(from, to mark) float64 {
		return float64(bytes(to)-bytes(from)) / float64(max(1, to.accepted-from.accepted))
	}
	section.Add("long_bytes_first_half", perOrder(marks[0], marks[n/2]), "bytes/order", nil)
	section.Add("long_bytes_second_half", perOrder(marks[n/2], marks[n-1]), "bytes/order", nil)
	return nil
}

func bytes(m mark) (sum int64) {
	for _, t := range m.tables {
		sum += t.Bytes
	}
	return sum
}
