package overview

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"waybill.example/orchestrator/console/internal/source"
)

// consumer is what one process reads from Kafka.
type consumer struct {
	Service    string  `json:"service"`
	Topic      string  `json:"topic"`
	Partitions int     `json:"partitions"`
	Lag        float64 `json:"lag"`
	// Blocked is why messages wait, and for how long.
	Blocked        string        `json:"blocked,omitempty"`
	BlockedFor     time.Duration `json:"-"`
	BlockedSeconds float64       `json:"blockedSeconds,omitzero"`
	// LastKnown is when the service last said so, where it does not answer; nil: just now.
	LastKnown *time.Time `json:"lastKnown,omitempty"`
}

// metricsAge is how old the figures of consumers may be: a scrape is dearer than the other reads.
const metricsAge = 10 * time.Second

// consumers are read from the services' metrics, which know of lag what their clients know.
func (o *overview) consumers(ctx context.Context) (all []consumer) {
	asked := []*source.Client{o.sources.Orders, o.sources.Inventory, o.sources.Orchestrator}
	found := make([][]consumer, len(asked))
	var asking sync.WaitGroup
	for i, c := range asked {
		asking.Go(func() {
			answer, err := c.Aside(ctx, "/metrics", metricsAge)
			if err != nil {
				return
			}
			found[i] = readConsumers(c.Name(), string(answer.Body))
			for n := range found[i] {
				if answer.Stale != nil {
					found[i][n].LastKnown = &answer.At
				}
			}
		})
	}
	asking.Wait()
	return slices.Concat(found...)
}

// readConsumers sums up the lag of each topic.
func readConsumers(service, metrics string) []consumer {
	byTopic := map[string]*consumer{}
	var blocked string
	var seconds float64
	for line := range strings.Lines(metrics) {
		name, labels, value, ok := sample(line)
		if !ok {
			continue
		}
		switch name {
		case "waybill_consumer_lag_messages":
			c := byTopic[labels["topic"]]
			if c == nil {
				c = &consumer{Service: service, Topic: labels["topic"]}
				byTopic[c.Topic] = c
			}
			c.Partitions++
			c.Lag += value
		case "waybill_consumer_blocked_seconds":
			if value > seconds {
				blocked, seconds = labels["reason"], value
			}
		}
	}
	if blocked != "" && len(byTopic) == 0 { // it has not applied a message yet
		byTopic[""] = &consumer{Service: service}
	}
	all := make([]consumer, 0, len(byTopic))
	for _, c := range byTopic {
		c.Blocked, c.BlockedSeconds, c.BlockedFor = blocked, seconds, time.Duration(seconds*float64(time.Second))
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b consumer) int { return strings.Compare(a.Topic, b.Topic) })
	return all
}

// sample reads a line of Prometheus' text format: name{label="value",…} number. Of labels with
// escapes it knows nothing; ours have none.
func sample(line string) (name string, labels map[string]string, value float64, ok bool) {
	line = strings.TrimSpace(line)
	head, number, found := strings.Cut(line, "} ")
	name, list, labelled := strings.Cut(head, "{")
	if !found || !labelled || strings.HasPrefix(line, "#") {
		return "", nil, 0, false
	}
	labels = map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		key, quoted, _ := strings.Cut(pair, "=")
		labels[key] = strings.Trim(quoted, `"`)
	}
	value, err := strconv.ParseFloat(number, 64)
	return name, labels, value, err == nil
}
