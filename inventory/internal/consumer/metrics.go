package consumer

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	commands *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) metrics {
	f := promauto.With(reg)
	return metrics{
		commands: f.NewCounterVec(prometheus.CounterOpts{
			Name: "waybill_inventory_commands_total",
			Help: "Commands answered, by the answer and by what they did: decided, repeated, contradicted.",
		}, []string{"command", "answer", "outcome"}),
	}
}
