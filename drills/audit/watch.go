package audit

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Watcher audits a live system again and again. It proposes repairs, and does none.
type Watcher struct {
	auditor *Auditor
	every   time.Duration
	log     *slog.Logger
	found   func(Finding)
	known   map[Finding]bool
	metrics watchMetrics
	last    atomic.Pointer[Report] // of the last complete pass
}

type watchMetrics struct {
	findings *prometheus.GaugeVec
	looked   *prometheus.GaugeVec
	open     prometheus.Gauge
	passes   *prometheus.CounterVec
	seconds  prometheus.Histogram
	last     prometheus.Gauge
}

// NewWatcher makes a watcher that passes so often and calls found for each finding when it is new.
func NewWatcher(a *Auditor, every time.Duration, found func(Finding), log *slog.Logger, reg prometheus.Registerer) *Watcher {
	f := promauto.With(reg)
	w := &Watcher{auditor: a, every: every, log: log, found: found, known: map[Finding]bool{}, metrics: watchMetrics{
		findings: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "waybill_audit_findings", Help: "Things that are not as promised, by check. Alert on anything above 0.",
		}, []string{"check"}),
		looked: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "waybill_audit_looked", Help: "Things that were held against a promise since the audit began, by check.",
		}, []string{"check"}),
		open: f.NewGauge(prometheus.GaugeOpts{
			Name: "waybill_audit_open", Help: "Orders and messages that are too young to be judged.",
		}),
		passes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "waybill_audit_passes_total", Help: "Passes, by whether everything could be read.",
		}, []string{"outcome"}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "waybill_audit_pass_seconds", Help: "How long a pass took.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 14),
		}),
		last: f.NewGauge(prometheus.GaugeOpts{
			Name: "waybill_audit_last_pass_timestamp_seconds", Help: "When the last complete pass began, in Unix time.",
		}),
	}}
	for _, c := range Checks() {
		w.metrics.findings.WithLabelValues(string(c)).Set(0)
	}
	return w
}

// Run passes until ctx ends. What cannot be read is logged and tried again.
func (w *Watcher) Run(ctx context.Context) {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	for {
		w.pass(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Last returns the report of the last complete pass; nil before there is one. It is safe for
// concurrent use.
func (w *Watcher) Last() *Report { return w.last.Load() }

func (w *Watcher) pass(ctx context.Context) {
	report, err := w.auditor.Pass(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		w.metrics.passes.WithLabelValues("failed").Inc()
		w.log.WarnContext(ctx, "the audit could not read everything", "error", err)
		return
	}
	w.auditor.Forget()
	w.metrics.passes.WithLabelValues("complete").Inc()
	w.metrics.seconds.Observe(report.Took.Seconds())
	w.metrics.last.Set(float64(report.At.Unix()))
	w.metrics.open.Set(float64(report.Open))
	w.last.Store(&report)
	now := map[Finding]bool{}
	for _, c := range report.Checks {
		w.metrics.findings.WithLabelValues(string(c.Check)).Set(float64(c.Count()))
		w.metrics.looked.WithLabelValues(string(c.Check)).Set(float64(c.Looked))
		for _, f := range c.Findings {
			same := Finding{Check: f.Check, Subject: f.Subject} // how long it has been so changes
			now[same] = true
			if !w.known[same] {
				w.found(f)
			}
		}
	}
	w.known = now
}
