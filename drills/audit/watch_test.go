package audit_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"waybill.example/drills/audit"
)

// The watcher reports a finding once, keeps counting it while it is there, and goes on while
// something cannot be read.
func TestAWatcherTellsOfEachFindingOnceAndCountsIt(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.place(1, true)
	w.settle()
	found := make(chan audit.Finding, 10)
	reg := prometheus.NewRegistry()
	watcher := audit.NewWatcher(w.auditor(), 20*time.Millisecond, func(f audit.Finding) { found <- f }, slog.New(slog.DiscardHandler), reg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); watcher.Run(ctx) }()
	passes := func(outcome string) float64 {
		return metric(t, reg, "waybill_audit_passes_total", "outcome", outcome)
	}
	next := func(outcome string) {
		t.Helper()
		after := passes(outcome) + 1
		require.Eventually(t, func() bool { return passes(outcome) > after }, time.Minute, 10*time.Millisecond)
	}
	next("complete")
	require.Empty(t, found)

	w.broker.Stop()
	w.stock("ghost", 3, 4)
	w.broker.Start(t)
	f := <-found
	require.Equal(t, audit.Stock, f.Check)
	next("complete")
	require.Empty(t, found, "it is reported once")
	require.InDelta(t, 1, metric(t, reg, "waybill_audit_findings", "check", "stock"), 0)

	w.sql("inventory", "update stock set on_hand = 4 where sku = 'ghost'")
	next("complete")
	require.InDelta(t, 0, metric(t, reg, "waybill_audit_findings", "check", "stock"), 0)
	cancel()
	<-done
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}

func metric(t *testing.T, reg *prometheus.Registry, name, label, value string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetName() == label && m.GetLabel()[0].GetValue() == value {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
