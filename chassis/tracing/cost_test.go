package tracing

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"waybill.example/sdk/inbox"
)

// What a message and a row cost where spans are exported: `go test -bench On ./chassis/tracing`.
func BenchmarkOn(b *testing.B) {
	stop, err := start(b.Context(), "bench", "v1", sdktrace.NewBatchSpanProcessor(tracetest.NewNoopExporter()))
	require.NoError(b, err)
	defer stop()
	for name, traceparent := range map[string]string{"recorded": in, "sampled out": unsampled} {
		b.Run("message "+name, func(b *testing.B) {
			b.ReportAllocs()
			batch := []inbox.Delivery{message(traceparent)}
			for b.Loop() {
				_, _, end := Process(b.Context(), "group", batch)
				end(nil)
			}
		})
		b.Run("row "+name, func(b *testing.B) {
			b.ReportAllocs()
			row := Row{Database: "orders", Topic: "orders.v1", Inserted: time.Now(), Headers: []byte(`{"traceparent": "` + traceparent + `"}`)}
			for b.Loop() {
				Published(row)
			}
		})
	}
}
