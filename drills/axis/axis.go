// Package axis chooses the steps of a chart's axis and writes their labels, for the reports of the drills
// and of the bench.
package axis

import (
	"math"
	"strconv"
)

// Ticks chooses round steps for an axis that has to reach at least most, and where it ends.
func Ticks(most float64) (step, end float64) {
	if most <= 0 {
		return 1, 1
	}
	rough := most / 4
	magnitude := math.Pow(10, math.Floor(math.Log10(rough)))
	step = 10 * magnitude
	for _, round := range []float64{1, 2, 5} {
		if round*magnitude >= rough {
			step = round * magnitude
			break
		}
	}
	return step, math.Ceil(most/step) * step
}

// Number writes a value as a label of an axis has room for it: thousands as k.
func Number(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v/1000, 'g', 4, 64) + "k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
