package logs_test

import (
	"context"
	"log/slog"
	"os"

	"waybill.example/chassis/logs"
)

// A line about a request names its trace, and the caller has not said so.
func Example() {
	timeless := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(logs.Handler(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: timeless})))
	ctx := context.WithValue(context.Background(), logs.SubjectKey{}, request{id: "4bf92f35"})
	log.WarnContext(ctx, "slow answer")
	// Output: level=WARN msg="slow answer" trace_id=4bf92f35 path=/v1/orders/17
}
