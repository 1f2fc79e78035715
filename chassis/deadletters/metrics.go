package deadletters

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/sdk/deadletter"
)

// collector reads the counts when it is scraped.
type collector struct {
	store                *deadletter.Store
	consumer             string
	dead, parked, oldest *prometheus.Desc
}

const scrapeTimeout = 2 * time.Second

func newCollector(store *deadletter.Store, consumer string) *collector {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"consumer", "topic"}, nil)
	}
	return &collector{
		store, consumer,
		describe("waybill_dead_letters", "Messages that could not be applied and wait for an operator."),
		describe("waybill_dead_letters_parked", "Messages that wait behind a dead letter of their key."),
		describe("waybill_dead_letters_oldest_seconds", "For how long the oldest dead letter has waited."),
	}
}

func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.dead
	out <- c.parked
	out <- c.oldest
}

// Collect leaves the metrics out while the database does not answer.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	stats, err := c.store.Stats(ctx)
	if err != nil {
		return
	}
	if len(stats) == 0 {
		stats = []deadletter.Stats{{Consumer: c.consumer}}
	}
	gauge := func(d *prometheus.Desc, value float64, s deadletter.Stats) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, s.Consumer, s.Topic)
	}
	for _, s := range stats {
		gauge(c.dead, float64(s.Dead), s)
		gauge(c.parked, float64(s.Parked), s)
		age := 0.0
		if s.Oldest != nil {
			age = time.Since(*s.Oldest).Seconds()
		}
		gauge(c.oldest, age, s)
	}
}
