package kafka

import (
	"slices"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/sdk/inbox"
)

// A partition is paused for one of three reasons: nothing can be done at the moment (waiting),
// where to start is not known (unpositioned), or too many of its messages are held (full).

func (c *Consumer) pauseAll() {
	assigned, err := c.client.Assignment()
	if err == nil && len(assigned) > 0 {
		err = c.client.Pause(assigned)
	}
	if err != nil {
		c.log.Warn("partitions not paused", "error", err)
	}
}

func (c *Consumer) resumeAll() {
	assigned, err := c.client.Assignment()
	if err != nil {
		c.log.Warn("partitions not resumed", "error", err)
		return
	}
	c.resume(assigned)
}

// resume goes on reading those of the partitions that no reason is left to pause.
func (c *Consumer) resume(partitions []kafka.TopicPartition) {
	partitions = slices.DeleteFunc(slices.Clone(partitions), func(p kafka.TopicPartition) bool {
		return c.outage || c.unpositioned[toPartition(p)] || c.full[toPartition(p)]
	})
	if len(partitions) == 0 {
		return
	}
	if err := c.client.Resume(partitions); err != nil {
		c.log.Warn("partitions not resumed", "error", err)
	}
}

const (
	// maxHeld bounds the messages of a partition that wait in memory, and maxAhead how many offsets
	// may be applied ahead of the first of them: after a restart they are read again, and the inbox
	// has to know them all.
	maxHeld  = 1000
	maxAhead = 100_000
)

// limit pauses partitions of which too much is held, and goes on with those that are below again.
func (c *Consumer) limit() {
	for p, first := range c.held.first() {
		if !c.full[p] && (c.held.count[p] >= maxHeld || c.applied[p]-first >= maxAhead) {
			c.full[p] = true
			if err := c.client.Pause(kafkaPartitions(p)); err != nil {
				c.log.Warn("partition not paused", "error", err)
			}
		}
	}
	for p := range c.full {
		if c.held.count[p] < maxHeld/2 && (c.held.count[p] == 0 || c.applied[p]-c.held.first()[p] < maxAhead/2) {
			delete(c.full, p)
			c.resume(kafkaPartitions(p))
		}
	}
}

func kafkaPartitions(p inbox.Partition) []kafka.TopicPartition {
	return []kafka.TopicPartition{{Topic: &p.Topic, Partition: p.Partition}}
}
