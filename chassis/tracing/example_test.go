package tracing_test

import (
	"context"
	"log/slog"

	"waybill.example/chassis/tracing"
)

// A service starts it before it builds what it is made of. Without OTEL_EXPORTER_OTLP_ENDPOINT
// nothing happens.
func Example() {
	stop, err := tracing.Start(context.Background(), "hotel", "v1.2.0", slog.Default())
	if err != nil {
		slog.Error("traces are not exported", "error", err)
		return
	}
	defer stop()
	// Output:
}
