package telemetry_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/chassis/telemetry"
	"waybill.example/chassis/tracing"
)

// What tracing adds to each request, row and batch where no span is exported: a look at a boolean,
// and an exemplar that is not there. `go test -bench Off ./chassis/telemetry`.
func BenchmarkOff_Exemplar(b *testing.B) {
	ctx, histogram := b.Context(), prometheus.NewHistogram(prometheus.HistogramOpts{Name: "seconds"})
	b.Run("without", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			histogram.Observe(0.003)
		}
	})
	b.Run("with", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			telemetry.Observe(histogram, 0.003, tracing.Recorded(ctx))
		}
	})
}
