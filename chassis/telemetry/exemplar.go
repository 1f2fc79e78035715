package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Observe counts a value in a histogram. If the trace that it belongs to is recorded, its id goes
// along as the exemplar of the value's bucket, by which a slow one is found; "" is none.
func Observe(histogram prometheus.Observer, value float64, traceID string) {
	with, ok := histogram.(prometheus.ExemplarObserver)
	if traceID == "" || !ok {
		histogram.Observe(value)
		return
	}
	with.ObserveWithExemplar(value, prometheus.Labels{"trace_id": traceID})
}
