// Package paired compares two systems that are measured in turns. On a machine whose speed drifts,
// two figures that were taken minutes apart say nothing of each other; their ratio does, if each
// was taken right after the other, and the median of several such ratios if a turn was disturbed.
package paired

import (
	"fmt"
	"slices"
)

// Figure is one measure, taken of both systems in each turn.
type Figure struct {
	Name string
	Unit string
	// Base and Head hold a value per turn; those of one turn have the same index.
	Base, Head []float64
}

// Ratio is how head compares with base over all turns.
type Ratio struct {
	Median, Lowest, Highest float64
	Turns                   int
}

// Ratio returns head/base. A turn in which base is 0 does not count.
func (f *Figure) Ratio() Ratio {
	var ratios []float64
	for i := range min(len(f.Base), len(f.Head)) {
		if f.Base[i] != 0 {
			ratios = append(ratios, f.Head[i]/f.Base[i])
		}
	}
	if len(ratios) == 0 {
		return Ratio{}
	}
	return Ratio{Median: Median(ratios), Lowest: slices.Min(ratios), Highest: slices.Max(ratios), Turns: len(ratios)}
}

// String is a line for people: the ratio, its spread, and the medians of both.
func (f *Figure) String() string {
	r := f.Ratio()
	return fmt.Sprintf("%-32s %6.3f  (%.3f to %.3f in %d turns)  base %.4g, head %.4g %s",
		f.Name, r.Median, r.Lowest, r.Highest, r.Turns, Median(f.Base), Median(f.Head), f.Unit)
}

// Median returns the middle one of the values, the mean of the middle two where their number is
// even, and 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Table collects figures in the order in which they first come.
type Table struct {
	figures []*Figure
}

// Add adds one turn's values of a figure.
func (t *Table) Add(name, unit string, base, head float64) {
	i := slices.IndexFunc(t.figures, func(f *Figure) bool { return f.Name == name })
	if i < 0 {
		i = len(t.figures)
		t.figures = append(t.figures, &Figure{Name: name, Unit: unit})
	}
	f := t.figures[i]
	f.Base, f.Head = append(f.Base, base), append(f.Head, head)
}

// Figures returns what was collected.
func (t *Table) Figures() []*Figure { return t.figures }
