package axis_test

import (
	"fmt"

	"waybill.example/drills/axis"
)

func ExampleTicks() {
	for _, most := range []float64{0, 7, 97, 1234} {
		step, end := axis.Ticks(most)
		fmt.Println(axis.Number(step), axis.Number(end))
	}
	// Output:
	// 1 1
	// 2 8
	// 50 100
	// 500 1.5k
}
