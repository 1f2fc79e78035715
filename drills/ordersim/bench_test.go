package ordersim_test

import (
	"testing"

	"waybill.example/drills/ordersim"
	"waybill.example/sdk/saga/sagasim"
)

// One iteration is one seed.
func BenchmarkRun(b *testing.B) {
	seed := uint64(0)
	for b.Loop() {
		ordersim.Run(ordersim.Config{Config: sagasim.Config{Seed: seed}})
		seed++
	}
}
