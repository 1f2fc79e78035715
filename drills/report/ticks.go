package report

import (
	"math"
	"strconv"
)

// ticks chooses round steps for an axis that has to reach at least most, and where it ends.
func ticks(most float64) (step, end float64) {
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

// number writes a value as a label of an axis has room for it: thousands as k.
func number(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v/1000, 'g', 4, 64) + "k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
