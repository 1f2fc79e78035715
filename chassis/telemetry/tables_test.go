package telemetry_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/telemetry"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func TestTables_ReportTheSizeOfEachTable(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	registry := prometheus.NewRegistry()
	telemetry.Tables(registry, db.Pool)
	sizes := func() map[string]float64 {
		families, err := registry.Gather()
		require.NoError(t, err)
		found := map[string]float64{}
		for _, family := range families {
			if family.GetName() != "waybill_table_bytes" {
				continue
			}
			for _, m := range family.GetMetric() {
				found[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
		return found
	}
	before := sizes()
	require.Positive(t, before["outbox"])
	require.Positive(t, before["inbox"])
	require.Equal(t, before, sizes(), "it is not asked again at once")
}
