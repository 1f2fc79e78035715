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
			Name: "waybill_orders_commands_total",
			Help: "Commands applied, by what they did: changed, repeated, contradicted, unknown_order.",
		}, []string{"command", "outcome"}),
	}
}
