package report

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"waybill.example/chassis/terminal"
	"waybill.example/drills/load"
)

// Load writes what became of the requests of a load.
func Load(w io.Writer, t load.Totals) {
	fmt.Fprintf(w, "%d orders accepted of %d; the answer took %s (p50), %s (p99), %s at most\n",
		t.Accepted, t.Sent, short(t.Latency.P50), short(t.Latency.P99), short(t.Latency.Max))
	for _, reason := range slices.Sorted(maps.Keys(t.Failures)) {
		terminal.Fprintf(w, "%d failed: %s\n", t.Failures[reason], reason)
	}
}
