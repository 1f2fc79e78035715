package relay

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"waybill.example/outbox-relay/internal/source"
)

// Metrics are the relay's, each by database.
type Metrics struct {
	published *prometheus.CounterVec
	batch     *prometheus.HistogramVec
	latency   *prometheus.HistogramVec
	inFlight  *prometheus.GaugeVec
	bytes     *prometheus.GaugeVec
	waits     *prometheus.GaugeVec
	gapCount  *prometheus.GaugeVec
	closed    *prometheus.CounterVec
	late      *prometheus.CounterVec
	stuck     *prometheus.CounterVec
	leader    *prometheus.GaugeVec
	broker    *prometheus.GaugeVec
	restarts  *prometheus.CounterVec
	expired   *prometheus.CounterVec
	pending   *prometheus.GaugeVec
	oldest    *prometheus.GaugeVec
	waiting   *prometheus.GaugeVec

	clockBehind, xminSeconds, xminAge, deadCursors *prometheus.GaugeVec
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	by := []string{"database"}
	counter := func(name, help string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "waybill_relay_" + name, Help: help}, by)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: "waybill_relay_" + name, Help: help}, by)
	}
	return &Metrics{
		published: counter("published_total", "Rows that the broker has acknowledged."),
		batch: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "waybill_relay_batch_rows", Help: "Rows found by a read that found any.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}, by),
		latency: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "waybill_relay_publish_seconds", Help: "From the insert of a row to the broker's acknowledgement.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 20),
		}, by),
		inFlight: gauge("in_flight_rows", "Rows read and not yet settled."),
		bytes:    gauge("in_flight_bytes", "Memory of the rows read and not yet settled."),
		waits:    gauge("oldest_in_flight_seconds", "For how long the oldest row has been with the broker, or parked because the broker takes none of its topic."),
		gapCount: gauge("gaps", "Ranges of ids below the cursor's end whose rows are not visible."),
		closed:   counter("closed_ids_total", "Ids given up as rolled back."),
		late:     counter("late_rows_total", "Rows that came after their id was given up; published, but perhaps out of order."),
		stuck:    counter("set_aside_total", "Rows that became stuck or parked."),
		leader:   gauge("leader", "1 while this process leads the database."),
		broker:   gauge("broker_up", "1 if the broker answered last, 0 if the client complained since."),
		expired:  counter("expired_rows_total", "Published rows removed by retention."),
		pending:  gauge("pending_rows", "Ids handed out and not dealt with; some may have been rolled back. Only from the leader."),
		oldest:   gauge("oldest_pending_seconds", "Age of the oldest committed row that waits to be published. Only from the leader."),
		waiting: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "waybill_relay_stuck_rows", Help: "Rows quarantined now: stuck, or parked behind a stuck one. Only from the leader.",
		}, []string{"database", "state"}),
		clockBehind: gauge("retention_clock_behind_seconds", "By how much the clock by which rows expire is behind the database's. Only from the leader."),
		xminSeconds: gauge("oldest_xmin_seconds", "For how long the oldest session, prepared transaction or replication slot has held back vacuum. Only from the leader."),
		xminAge:     gauge("oldest_xmin_transactions", "The same in transactions. Only from the leader."),
		deadCursors: gauge("cursor_dead_rows", "Versions of the cursor row that vacuum has not removed yet. Only from the leader."),
		restarts:    counter("producer_restarts_total", "Producers that ended at a refused row or a fatal error."),
	}
}

func (m *Metrics) leading(database string, leads bool) {
	value := 0.0
	if leads {
		value = 1
	}
	m.leader.WithLabelValues(database).Set(value)
}

func (m *Metrics) backlog(database string, b source.Backlog) {
	m.pending.WithLabelValues(database).Set(float64(b.Pending))
	m.oldest.WithLabelValues(database).Set(b.OldestSeconds)
	m.waiting.WithLabelValues(database, "stuck").Set(float64(b.Stuck))
	m.waiting.WithLabelValues(database, "parked").Set(float64(b.Parked))
}

func (m *Metrics) vacuum(database string, v source.Vacuum) {
	m.xminSeconds.WithLabelValues(database).Set(v.Held.Seconds())
	m.xminAge.WithLabelValues(database).Set(float64(v.Transactions))
	m.deadCursors.WithLabelValues(database).Set(float64(v.DeadCursors))
}

// resign takes back what only a leader tells.
func (m *Metrics) resign(database string) {
	m.leading(database, false)
	for _, gauge := range []*prometheus.GaugeVec{
		m.pending, m.oldest, m.waiting, m.gapCount, m.inFlight, m.bytes, m.waits,
		m.clockBehind, m.xminSeconds, m.xminAge, m.deadCursors,
	} {
		gauge.DeletePartialMatch(prometheus.Labels{"database": database})
	}
}

// meters are the metrics of one database, looked up once.
type meters struct {
	published, closed, late, stuck, restarts   prometheus.Counter
	batch, latency                             prometheus.Observer
	inFlight, gapCount, broker, oldestInFlight prometheus.Gauge
	inFlightBytes                              prometheus.Gauge
}

func (m *Metrics) of(database string) meters {
	return meters{
		published: m.published.WithLabelValues(database),
		closed:    m.closed.WithLabelValues(database),
		late:      m.late.WithLabelValues(database),
		stuck:     m.stuck.WithLabelValues(database),
		restarts:  m.restarts.WithLabelValues(database),
		batch:     m.batch.WithLabelValues(database),
		latency:   m.latency.WithLabelValues(database),
		inFlight:  m.inFlight.WithLabelValues(database),
		gapCount:  m.gapCount.WithLabelValues(database),
		broker:    m.broker.WithLabelValues(database),

		inFlightBytes:  m.bytes.WithLabelValues(database),
		oldestInFlight: m.waits.WithLabelValues(database),
	}
}

// age is how long ago a row was inserted; a clock that was set back does not make it negative.
func age(created int64, now time.Time) float64 {
	return max(0, float64(now.UnixMicro()-created)/1e6)
}
