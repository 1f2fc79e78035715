package kafka

import (
	"strconv"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"waybill.example/chassis/fault"
)

type consumerMetrics struct {
	batchSize    prometheus.Histogram
	duration     prometheus.Histogram
	failures     *prometheus.CounterVec
	isolations   prometheus.Counter
	clientErrors prometheus.Counter
	reread       prometheus.Counter
	expired      prometheus.Counter
	rebalances   prometheus.Counter
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
			Help: "Attempts to apply a batch that failed, by whose fault it was; only failures of kind message count against a message.",
		}, []string{"kind", "reason"}),
		isolations: f.NewCounter(prometheus.CounterOpts{
			Name: "waybill_consumer_isolations_total",
			Help: "Batches taken apart to find the messages that have to wait.",
		}),
		clientErrors: f.NewCounter(prometheus.CounterOpts{
			Name: "waybill_consumer_kafka_errors_total",
			Help: "Errors that the Kafka client reported, such as a broker that went away.",
		}),
		reread: f.NewCounter(prometheus.CounterOpts{
			Name: "waybill_consumer_reread_messages_total",
			Help: "Offsets read again because the database was behind Kafka, as after a restore.",
		}),
		expired: f.NewCounter(prometheus.CounterOpts{
			Name: "waybill_consumer_expired_messages_total",
			Help: "Offsets that were never applied and that Kafka no longer has.",
		}),
		rebalances: f.NewCounter(prometheus.CounterOpts{
			Name: "waybill_consumer_rebalances_total",
			Help: "Partitions assigned or revoked, calls.",
		}),
	}
}

func (m consumerMetrics) failure(f fault.Fault) {
	kind := map[fault.Kind]string{
		fault.Message: "message", fault.Conflict: "conflict", fault.Statement: "statement", fault.Outage: "outage",
	}[f.Kind]
	m.failures.WithLabelValues(kind, f.Reason).Inc()
}

// watermarks is what librdkafka knows of a partition without asking a broker.
type watermarks interface {
	GetWatermarkOffsets(topic string, partition int32) (low, high int64, err error)
}

// statusCollector shows a status as it is when it is looked at.
type statusCollector struct {
	status *status
	client watermarks

	blocked, blockers, held, owned, lag, age, forming, up *prometheus.Desc
}

var _ watermarks = (*kafka.Consumer)(nil)

func newStatusCollector(s *status, client watermarks) *statusCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &statusCollector{
		status: s, client: client,
		blocked:  desc("waybill_consumer_blocked_seconds", "How long messages have been waiting for this reason, by reason.", "reason"),
		blockers: desc("waybill_consumer_blocked_by", "1 for each session that holds a lock which messages wait for.", "session"),
		held:     desc("waybill_consumer_held_messages", "Messages that have been read and wait, by reason.", "reason"),
		owned:    desc("waybill_consumer_partitions", "Partitions that this process reads."),
		lag:      desc("waybill_consumer_lag_messages", "Messages of a partition that are not applied yet.", "topic", "partition"),
		age:      desc("waybill_consumer_batch_age_seconds", "How long the attempt that is under way has taken; 0: there is none."),
		forming:  desc("waybill_consumer_unassigned_seconds", "How long this process has had no partition while its group was being formed."),
		up:       desc("waybill_consumer_up", "1 while the consumer runs; 0 once it has ended or was fenced."),
	}
}

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.blocked, c.blockers, c.held, c.owned, c.lag, c.age, c.forming, c.up} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(to chan<- prometheus.Metric) {
	c.status.mu.Lock()
	defer c.status.mu.Unlock()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for reason, e := range c.status.episodes {
		gauge(c.blocked, time.Since(e.since).Seconds(), reason)
		gauge(c.held, float64(e.Messages), reason)
		for _, session := range c.status.blockersOf(reason) {
			who, _, _ := strings.Cut(session, ",") // what follows changes all the time
			gauge(c.blockers, 1, who)
		}
	}
	gauge(c.owned, float64(len(c.status.owned)))
	gauge(c.age, secondsSince(c.status.began))
	gauge(c.forming, secondsSince(c.status.forming))
	up := 1.0
	if c.status.over {
		up = 0
	}
	gauge(c.up, up)
	c.collectLag(gauge)
}

// collectLag uses what the last fetch said about a partition's end; before the first message of a
// partition was applied there is nothing to compare it with.
func (c *statusCollector) collectLag(gauge func(*prometheus.Desc, float64, ...string)) {
	if c.status.over {
		return // the client is closed
	}
	for p, next := range c.status.next {
		_, high, err := c.client.GetWatermarkOffsets(p.Topic, p.Partition)
		if err == nil && high >= 0 {
			gauge(c.lag, float64(max(high-next, 0)), p.Topic, strconv.Itoa(int(p.Partition)))
		}
	}
}

func secondsSince(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return time.Since(t).Seconds()
}
