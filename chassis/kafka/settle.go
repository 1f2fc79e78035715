package kafka

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const (
	// attempts is how often a batch, and then each message of it, is tried before the message at
	// fault is set aside.
	attempts = 3
	// forever is for what must not be given up.
	forever = math.MaxInt
)

// settle makes every message of the batch durable, applied or set aside, however long it takes. It
// returns before that only when ctx ends or the partitions are taken away.
func (c *Consumer[M]) settle(ctx context.Context, batch []Message) {
	reason := c.try(ctx, batch, attempts, c.hand)
	if reason == nil || ctx.Err() != nil {
		return
	}
	if len(batch) > 1 {
		// Something in it is at fault; alone, the others go through.
		c.metrics.isolations.Inc()
		for i := range batch {
			c.settle(ctx, batch[i:i+1])
		}
		return
	}
	_ = c.try(ctx, batch, forever, func(ctx context.Context, batch []Message) error {
		m := batch[0]
		c.log.Error("message set aside as a dead letter", "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "error", reason)
		return c.handler.Reject(ctx, c.convert(m), reason)
	})
}

// hand gives the batch to the handler.
func (c *Consumer[M]) hand(ctx context.Context, batch []Message) error {
	next := nextOffsets(batch)
	messages := make([]M, len(batch))
	for i, m := range batch {
		m.Resume = next[m.partition()]
		messages[i] = c.convert(m)
	}
	began := time.Now()
	err := c.handler.Process(ctx, messages)
	c.metrics.duration.Observe(time.Since(began).Seconds())
	return err
}

// try does something with the batch until it succeeds, and then stores the batch's offsets. A
// transient error does not count as an attempt. It returns the last error after so many attempts, or
// when ctx ends, and nil when nothing of the batch is ours any more.
func (c *Consumer[M]) try(ctx context.Context, batch []Message, attempts int, do func(context.Context, []Message) error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 5*time.Second
	for failures := 0; ; {
		if batch = c.kept(batch); len(batch) == 0 {
			return nil
		}
		err := do(ctx, batch)
		if err == nil {
			c.store(batch)
			return nil
		}
		if ctx.Err() != nil || c.fatal != nil {
			return err
		}
		transient := c.options.Transient != nil && c.options.Transient(err)
		if !transient {
			failures++
		}
		c.metrics.failure(transient)
		c.log.Warn("batch not applied", "messages", len(batch), "transient", transient, "error", err)
		if failures >= attempts {
			return err
		}
		c.wait(ctx, pause.NextBackOff())
	}
}

// wait lets some time pass without leaving the group: the consumer has to poll, or its partitions
// are given to another; but the partitions are paused, so nothing new comes in.
func (c *Consumer[M]) wait(ctx context.Context, delay time.Duration) {
	c.waiting = true
	c.pauseAll()
	defer func() {
		c.waiting = false
		c.resumeAll()
	}()
	const step = 50 * time.Millisecond
	for until := time.Now().Add(delay); ctx.Err() == nil && c.fatal == nil; {
		left := time.Until(until)
		if left <= 0 {
			return
		}
		if event := c.client.Poll(int(min(left, step).Milliseconds())); event != nil {
			c.take(event)
		}
	}
}

func (c *Consumer[M]) pauseAll() {
	assigned, err := c.client.Assignment()
	if err == nil && len(assigned) > 0 {
		err = c.client.Pause(assigned)
	}
	if err != nil {
		c.log.Warn("partitions not paused", "error", err)
	}
}

func (c *Consumer[M]) resumeAll() {
	assigned, err := c.client.Assignment()
	if err != nil {
		c.log.Warn("partitions not resumed", "error", err)
		return
	}
	c.resume(assigned)
}

// resume goes on reading partitions, except those whose starting point is not known.
func (c *Consumer[M]) resume(partitions []kafka.TopicPartition) {
	partitions = slices.DeleteFunc(slices.Clone(partitions), func(p kafka.TopicPartition) bool { return c.unplaced[partitionOf(p)] })
	if len(partitions) == 0 {
		return
	}
	if err := c.client.Resume(partitions); err != nil {
		c.log.Warn("partitions not resumed", "error", err)
	}
}

// store marks the batch's messages as done; librdkafka commits the marks every second, and when the
// partitions are given up.
func (c *Consumer[M]) store(batch []Message) {
	next := nextOffsets(batch)
	offsets := make([]kafka.TopicPartition, 0, len(next))
	for p, offset := range next {
		offsets = append(offsets, kafka.TopicPartition{Topic: &p.Topic, Partition: p.Partition, Offset: kafka.Offset(offset)})
	}
	if _, err := c.client.StoreOffsets(offsets); err != nil {
		// The messages come again, and the inbox knows them.
		c.log.Warn("offsets not stored", "error", err)
	}
}

// nextOffsets returns where each partition goes on after the batch.
func nextOffsets(batch []Message) map[TopicPartition]int64 {
	next := make(map[TopicPartition]int64)
	for _, m := range batch {
		next[m.partition()] = max(next[m.partition()], m.Offset+1)
	}
	return next
}
