package consumer

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"waybill.example/sdk/inbox"
)

type metrics struct {
	messages *prometheus.CounterVec
	commands *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) metrics {
	f := promauto.With(reg)
	return metrics{
		messages: f.NewCounterVec(prometheus.CounterOpts{
			Name: "waybill_inventory_messages_total",
			Help: "Messages received, by what became of them: applied, duplicate, skipped, dead_letter, conflict, dropped.",
		}, []string{"outcome"}),
		commands: f.NewCounterVec(prometheus.CounterOpts{
			Name: "waybill_inventory_commands_total",
			Help: "Commands answered, by the answer and by what they did: decided, repeated, contradicted.",
		}, []string{"command", "answer", "outcome"}),
	}
}

func (m metrics) observe(o inbox.Outcome) {
	m.messages.WithLabelValues("applied").Add(float64(o.Applied))
	m.messages.WithLabelValues("duplicate").Add(float64(o.Duplicates))
	m.messages.WithLabelValues("skipped").Add(float64(o.Skipped))
	m.messages.WithLabelValues("dead_letter").Add(float64(o.DeadLettered))
	m.messages.WithLabelValues("conflict").Add(float64(o.Conflicts))
	m.messages.WithLabelValues("dropped").Add(float64(o.Dropped))
}
