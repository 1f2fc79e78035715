package kafka_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
)

// While no broker is there librdkafka reports errors without a pause; the consumer says so once,
// and can be stopped all the same.
func TestAConsumerThatFindsNoBrokerIsQuietAndStops(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer // written by Run's goroutine alone
	metrics := prometheus.NewRegistry()
	c, err := kafka.NewConsumer(
		kafka.Config{Brokers: []string{"127.0.0.1:1"}, SecurityProtocol: "PLAINTEXT"},
		kafka.ConsumerOptions{Group: "g", ClientID: "c", Topics: []string{"t"}},
		newLedger(),
		slog.New(slog.NewTextHandler(&lines, nil)), metrics)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	require.Eventually(t, func() bool {
		return errorsReported(t, metrics) >= 10
	}, waitTimeout, 10*time.Millisecond)
	cancel()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(waitTimeout):
		require.Fail(t, "the consumer does not stop")
	}
	require.Equal(t, 1, strings.Count(lines.String(), "brokers are down"), lines.String())
}

func errorsReported(t *testing.T, metrics *prometheus.Registry) float64 {
	t.Helper()
	families, err := metrics.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "waybill_consumer_kafka_errors_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return 0
}
