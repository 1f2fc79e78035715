package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"waybill.example/sdk/inbox"
)

// Inbox registers the metric of what became of the messages of a consumer, and returns the function
// that counts them: [inbox.Processor].Observe. A registry takes it once.
func Inbox(reg prometheus.Registerer, consumer string) func(inbox.Outcome) {
	messages := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "waybill_inbox_messages_total",
		Help: "Messages received, by what became of them: applied, duplicate, skipped, dead_letter, conflict, parked, redriven, dropped.",
	}, []string{"consumer", "outcome"})
	counters := make(map[string]prometheus.Counter)
	for outcome := range (inbox.Outcome{}).Outcomes() {
		counters[outcome] = messages.WithLabelValues(consumer, outcome)
	}
	return func(o inbox.Outcome) {
		for outcome, n := range o.Outcomes() {
			if n > 0 {
				counters[outcome].Add(float64(n))
			}
		}
	}
}
