package telemetry_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/telemetry"
)

func TestObserve_NamesTheTraceOfAValueThatHasOne(t *testing.T) {
	t.Parallel()
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "seconds", Buckets: []float64{1, 2}})
	telemetry.Observe(histogram, 0.5, "")
	telemetry.Observe(histogram, 1.5, "4bf92f3577b34da6a3ce929d0e0e4736")
	var written dto.Metric
	require.NoError(t, histogram.Write(&written))
	buckets := written.GetHistogram().GetBucket()
	require.Nil(t, buckets[0].GetExemplar())
	require.InDelta(t, 1.5, buckets[1].GetExemplar().GetValue(), 0)
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", buckets[1].GetExemplar().GetLabel()[0].GetValue())
	require.EqualValues(t, 2, written.GetHistogram().GetSampleCount())
}
