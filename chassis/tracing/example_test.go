package tracing_test

import (
	"context"
	"log/slog"
	"os"

	"waybill.example/chassis/tracing"
)

// A service starts it before it builds what it is made of. Without OTEL_EXPORTER_OTLP_ENDPOINT
// nothing happens.
func Example() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	stop, err := tracing.Start(context.Background(), "hotel", "v1.2.0", log)
	if err != nil {
		log.Error("traces are not exported", "error", err)
		return
	}
	defer stop()
	// Output:
}
