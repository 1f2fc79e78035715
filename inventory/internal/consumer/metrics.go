package consumer

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"waybill/inventory/internal/stock"
	"waybill/outbox/inbox"
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
			Help: "Messages received, by what became of them.",
		}, []string{"outcome"}),
		commands: f.NewCounterVec(prometheus.CounterOpts{
			Name: "waybill_inventory_commands_total",
			Help: "Commands answered: what was asked, the answer, and whether this command decided it, repeated " +
				"an earlier one, or contradicted an earlier one.",
		}, []string{"action", "answer", "effect"}),
	}
}

func (m metrics) observe(o inbox.Outcome) {
	m.messages.WithLabelValues("applied").Add(float64(o.Applied))
	m.messages.WithLabelValues("duplicate").Add(float64(o.Duplicates))
	m.messages.WithLabelValues("skipped").Add(float64(o.Skipped))
	m.messages.WithLabelValues("dead_lettered").Add(float64(o.DeadLettered))
}

// tally counts a batch's answers; they are reported once the batch is durable.
type tally map[answerKind]int

type answerKind struct {
	action stock.Action
	state  stock.State
	effect stock.Effect
}

func count(commands []stock.Command, replies []stock.Reply) tally {
	t := make(tally)
	for i, r := range replies {
		t[answerKind{commands[i].Action, r.State, r.Effect}]++
	}
	return t
}

func (m metrics) answered(t tally) {
	for kind, n := range t {
		m.commands.WithLabelValues(string(kind.action), string(kind.state), string(kind.effect)).Add(float64(n))
	}
}
