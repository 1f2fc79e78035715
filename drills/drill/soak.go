package drill

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill.example/devstack/stack"
)

// soak breaks nothing. It is what a leak needs: load and time.
var soak = Drill{
	Name: "soak",
	Promise: "nothing is broken, and nothing grows: memory, file descriptors, goroutines, the time of an order and the bytes that an order " +
		"takes are in the last quarter what they were in the second",
	For:      2 * time.Minute,
	Brief:    60 * time.Second,
	MostRate: 50,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		w := &watched{courses: map[string]*course{}, memory: memoryBound(d)}
		pause := max(d/soakSamples, 500*time.Millisecond)
		for until := time.Now().Add(d); time.Now().Before(until); {
			if err := w.look(ctx, s); err != nil {
				return err
			}
			if err := s.Wait(ctx, pause); err != nil {
				return err
			}
		}
		for _, c := range w.all() {
			s.Measured("%s", c)
			if c.grown() > c.allowed() {
				s.Failed("%s: more than %.1f %s is no noise", c, c.allowed(), c.unit)
			}
		}
		return nil
	},
}

const (
	// soakSamples is how often is looked at most, however long it lasts.
	soakSamples = 400

	goroutinesMetric  = "go_goroutines"
	descriptorsMetric = "process_open_fds"
)

// bound is by how much something may be more in the last quarter than in the second: a part of it,
// or so much, whichever is larger. The heap of Go and the pages of Postgres grow in steps, so a
// short run finds large leaks only; a day finds a mebibyte or two per hour.
type bound struct{ share, least float64 }

// memoryBound is that of resident memory, in MiB. In its first minutes a service grows by the
// garbage between two collections, which may be 48 MiB (the ballast of package service).
func memoryBound(d time.Duration) bound {
	if d < 10*time.Minute {
		return bound{0.15, 48}
	}
	return bound{0.15, 16}
}

var bounds = struct{ count, latency, bytes bound }{
	count:   bound{0.15, 12},  // descriptors, goroutines
	latency: bound{1, 500},    // milliseconds; the machine may have had other things to do
	bytes:   bound{0.30, 512}, // per order; a table grows by pages, and its indexes split
}

// course is what was seen of one thing.
type course struct {
	name, unit string
	bound
	values []float64
}

// quarter is the median of the nth quarter, from 0.
func (c *course) quarter(n int) float64 {
	values := slices.Clone(c.values[n*len(c.values)/4 : (n+1)*len(c.values)/4])
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// grown is by how much the last quarter is more than the second. The first is left out: caches and
// pools fill.
func (c *course) grown() float64 { return c.quarter(3) - c.quarter(1) }

func (c *course) allowed() float64 { return max(c.least, c.share*c.quarter(1)) }

func (c *course) String() string {
	return fmt.Sprintf("%s: %.1f %s in the second quarter, %.1f in the last", c.name, c.quarter(1), c.unit, c.quarter(3))
}

// watched is everything that has to stay as it is.
type watched struct {
	courses map[string]*course
	memory  bound
	before  map[string]float64 // sums and counts at the last look, by metric
	began   map[string]int64   // bytes at the first look, by database
	orders  int64              // at the first look
}

func (w *watched) all() (all []*course) {
	for _, c := range w.courses {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *course) int { return strings.Compare(a.name, b.name) })
	return all
}

func (w *watched) add(name, unit string, b bound, value float64) {
	c := w.courses[name]
	if c == nil {
		c = &course{name: name, unit: unit, bound: b}
		w.courses[name] = c
	}
	c.values = append(c.values, value)
}

func (w *watched) look(ctx context.Context, s *Environment) error {
	for _, service := range []string{stack.Orders, stack.Inventory, stack.Orchestrator, stack.Relay} {
		for _, one := range []struct {
			metric, of, unit string
			divided          float64
			bound            bound
		}{
			{residentMetric, "memory", "MiB", 1 << 20, w.memory},
			{descriptorsMetric, "file descriptors", "", 1, bounds.count},
			{goroutinesMetric, "goroutines", "", 1, bounds.count},
		} {
			value, err := metric(ctx, s.addr(service), one.metric)
			if err != nil {
				return err
			}
			w.add(one.of+" of "+service, one.unit, one.bound, value/one.divided)
		}
	}
	if err := w.latency(ctx, s); err != nil {
		return err
	}
	return w.tables(ctx, s)
}

// latency is the mean time of the orders that ended since the last look.
func (w *watched) latency(ctx context.Context, s *Environment) error {
	now := map[string]float64{}
	for _, name := range []string{"waybill_saga_seconds_sum", "waybill_saga_seconds_count"} {
		value, err := metric(ctx, s.addr(stack.Orchestrator), name)
		if err != nil {
			return err
		}
		now[name] = value
	}
	seconds := now["waybill_saga_seconds_sum"] - w.before["waybill_saga_seconds_sum"]
	ended := now["waybill_saga_seconds_count"] - w.before["waybill_saga_seconds_count"]
	if w.before != nil && ended > 0 {
		w.add("time of an order", "ms", bounds.latency, 1000*seconds/ended)
	}
	w.before = now
	return nil
}

const sizeSQL = `select sum(pg_total_relation_size(relid))::bigint from pg_stat_user_tables`

// tables is what the orders since the first look take in each database.
func (w *watched) tables(ctx context.Context, s *Environment) error {
	var orders int64
	if err := s.pools["orders"].QueryRow(ctx, `select count(*) from orders`).Scan(&orders); err != nil {
		return fmt.Errorf("count the orders: %w", err)
	}
	first := w.began == nil
	if first {
		w.began, w.orders = map[string]int64{}, orders
	}
	for name, pool := range s.pools {
		var bytes int64
		if err := pool.QueryRow(ctx, sizeSQL).Scan(&bytes); err != nil {
			return fmt.Errorf("measure the tables of %s: %w", name, err)
		}
		if first {
			w.began[name] = bytes
		} else if placed := orders - w.orders; placed > 0 {
			w.add("an order in the database "+name, "bytes", bounds.bytes, float64(bytes-w.began[name])/float64(placed))
		}
	}
	return nil
}
