package app

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"waybill.example/chassis/telemetry"
	"waybill.example/chassis/tracing"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/store"
)

// metrics is what an operator can alert on.
type metrics struct {
	transitions *prometheus.CounterVec
	ended       *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	commands    *prometheus.CounterVec
	unknown     prometheus.Counter
	conflicts   prometheus.Counter
	open        *prometheus.GaugeVec
	stuck       *prometheus.GaugeVec
	overdue     prometheus.Gauge
	behind      prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		transitions: f.NewCounterVec(prometheus.CounterOpts{
			Name: "waybill_saga_transitions_total",
			Help: "Transitions of sagas, by kind; stale_reply and late_success are replies out of their time.",
		}, []string{"definition", "kind"}),
		ended: f.NewCounterVec(prometheus.CounterOpts{
			Name: "waybill_sagas_ended_total",
			Help: "Sagas that reached an end.",
		}, []string{"definition", "state"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "waybill_saga_seconds",
			Help:    "Time from a saga's start to its end.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 18),
		}, []string{"definition", "state"}),
		commands: f.NewCounterVec(prometheus.CounterOpts{
			Name: "waybill_saga_commands_total",
			Help: "Commands sent, repetitions included.",
		}, []string{"definition", "type"}),
		unknown: f.NewCounter(prometheus.CounterOpts{
			Name: "waybill_saga_unknown_total",
			Help: "Messages for a saga that does not exist.",
		}),
		conflicts: f.NewCounter(prometheus.CounterOpts{
			Name: "waybill_saga_start_conflicts_total",
			Help: "Messages that start a saga which another message has started: two things go by one id. They are dead letters.",
		}),
		stuck: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "waybill_sagas_stuck",
			Help: "Open sagas that a person should look at, by state: what saga list --stuck shows.",
		}, []string{"state"}),
		open: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "waybill_sagas_open",
			Help: "Sagas that have not ended, of all orchestrators on this database.",
		}, []string{"state"}),
		behind: f.NewGauge(prometheus.GaugeOpts{
			Name: "waybill_saga_deadlines_behind_seconds",
			Help: "While deadlines have passed: for how long not all replies that came have been read. Deadlines wait for that.",
		}),
		overdue: f.NewGauge(prometheus.GaugeOpts{
			Name: "waybill_sagas_overdue",
			Help: "Open sagas whose deadline has passed and has not been acted on.",
		}),
	}
}

// observer is what the runner notifies.
func (m *metrics) observer() runner.Observer {
	return runner.Observer{
		Transition: m.transition, Rejected: m.rejected, Open: m.gauge,
		Unknown: func(saga.Message) { m.unknown.Inc() },
		Lag:     func(d time.Duration) { m.behind.Set(d.Seconds()) },
	}
}

// gauge sets the gauges of open sagas.
func (m *metrics) gauge(open []store.OpenStats) {
	m.open.Reset()
	m.stuck.Reset()
	overdue := int64(0)
	for _, state := range []saga.Phase{saga.Running, saga.Compensating, saga.CompensationStuck, saga.Suspended, saga.AwaitingStart} {
		m.open.WithLabelValues(string(state)).Set(0)
		m.stuck.WithLabelValues(string(state)).Set(0)
	}
	for _, o := range open {
		m.open.WithLabelValues(o.State).Set(float64(o.Count))
		m.stuck.WithLabelValues(o.State).Set(float64(o.Stuck))
		overdue += o.Overdue
	}
	m.overdue.Set(float64(overdue))
}

func (m *metrics) rejected(reason error) {
	if errors.Is(reason, saga.ErrStartConflict) {
		m.conflicts.Inc()
	}
}

func (m *metrics) transition(s saga.State, t saga.Transition) {
	m.transitions.WithLabelValues(s.Definition, string(t.Kind)).Inc()
	for _, c := range t.Commands {
		m.commands.WithLabelValues(s.Definition, c.Type).Inc()
	}
	if s.Phase.Ended() && t.From != t.To {
		m.ended.WithLabelValues(s.Definition, t.To).Inc()
		telemetry.Observe(m.duration.WithLabelValues(s.Definition, t.To),
			s.EndedAt.Sub(s.StartedAt).Seconds(), tracing.RecordedIn(s.Trace))
	}
}
