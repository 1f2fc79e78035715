package kafka

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type consumerMetrics struct {
	batchSize    prometheus.Histogram
	duration     prometheus.Histogram
	failures     *prometheus.CounterVec
	isolations   prometheus.Counter
	clientErrors prometheus.Counter
	reread       prometheus.Counter
}

func newConsumerMetrics(reg prometheus.Registerer, group string) consumerMetrics {
	f := promauto.With(prometheus.WrapRegistererWith(prometheus.Labels{"group": group}, reg))
	return consumerMetrics{
		batchSize: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "waybill_consumer_batch_messages",
			Help:    "Messages in a batch.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		}),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "waybill_consumer_batch_seconds",
			Help:    "Time to apply a batch, failed attempts included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "waybill_consumer_failures_total",
			Help: "Attempts to apply a batch that failed; transient ones are waited out.",
		}, []string{"kind"}),
		isolations: f.NewCounter(prometheus.CounterOpts{
			Name: "waybill_consumer_isolations_total",
			Help: "Batches taken apart to find the message at fault.",
		}),
		clientErrors: f.NewCounter(prometheus.CounterOpts{
			Name: "waybill_consumer_kafka_errors_total",
			Help: "Errors that the Kafka client reported, such as a broker that went away.",
		}),
		reread: f.NewCounter(prometheus.CounterOpts{
			Name: "waybill_consumer_reread_messages_total",
			Help: "Offsets read again because the database was behind Kafka, as after a restore.",
		}),
	}
}

func (m consumerMetrics) failure(transient bool) {
	kind := "permanent"
	if transient {
		kind = "transient"
	}
	m.failures.WithLabelValues(kind).Inc()
}
