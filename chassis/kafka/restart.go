package kafka

import (
	"slices"

	"waybill.example/sdk/inbox"
)

// restart is what has been received since the offsets of a partition went back, which they do when
// its topic was deleted and made again. Offsets from before and after mean nothing to each other,
// so they are not dispatched in one batch, and nothing of the old ones must be left when the new
// ones come: committed or stored as a position, one of them would skip the beginning of the new
// topic.
type restart struct {
	partitions map[inbox.Partition]bool
	messages   []inbox.Delivery
}

func (r *restart) pending() bool { return len(r.partitions) > 0 }

func (r *restart) drop(p inbox.Partition) {
	delete(r.partitions, p)
	r.messages = slices.DeleteFunc(r.messages, func(m inbox.Delivery) bool { return partitionOf(m) == p })
}

// receive takes a message from the client.
func (c *Consumer) receive(m inbox.Delivery) {
	p := partitionOf(m)
	last, known := c.last[p]
	if !known {
		c.begin(p, m.Offset)
	}
	if known && m.Offset <= last {
		c.log.Warn("a partition begins again: its topic was re-created", "topic", m.Topic, "partition", m.Partition, "last", last, "offset", m.Offset)
		if c.restart.partitions == nil {
			c.restart.partitions = make(map[inbox.Partition]bool)
		}
		c.restart.partitions[p] = true
	}
	c.last[p] = m.Offset
	if c.restart.pending() {
		c.restart.messages = append(c.restart.messages, m)
		return
	}
	c.buffered = append(c.buffered, m)
}

// restartPartitions forgets the old offsets, now that the messages that had them are dispatched.
// Those of them that are held are gone from Kafka as well; whose topic it was has to send them
// again.
func (c *Consumer) restartPartitions() {
	for p := range c.restart.partitions {
		if n := c.held.count[p]; n > 0 {
			c.log.Error("messages that waited are dropped, since their topic was re-created", "partition", p.String(), "messages", n)
		}
		c.held.drop(p)
		delete(c.applied, p)
	}
	c.buffered = append(c.buffered, c.restart.messages...)
	c.restart = restart{}
}
