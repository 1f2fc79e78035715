package kafka

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/sdk/inbox"
)

// Positions is how far a service has come in each partition, stored with its effects;
// [inbox.Positions] implements it.
type Positions interface {
	// Read returns the next offset of those of the given partitions that the database knows.
	Read(ctx context.Context, partitions []inbox.Partition) (map[inbox.Partition]int64, error)
	// Written is the position of a partition that is in the database for certain.
	Written(partition inbox.Partition) (next int64, ok bool)
	// Defer lets positions lag behind the effects for the interval, until a batch or Flush writes
	// them.
	Defer(interval time.Duration)
	// Flush writes those that lag.
	Flush(ctx context.Context) error
	// Forget drops what is known of partitions that were given up.
	Forget(partitions ...inbox.Partition)
}

const (
	// positionsTimeout bounds one look for positions. It is taken inside a rebalance, for which the
	// other members of the group wait.
	positionsTimeout = 3 * time.Second
	// positionsRetry is how long a partition waits before its position is looked for again.
	positionsRetry = time.Second
	// positionsLag is for how long positions may lag behind the effects. They are written with the
	// first batch after that, when the consumer is idle, and when it gives partitions up.
	positionsLag = 250 * time.Millisecond
)

// startingPoints returns from where partitions that were assigned are to be read: the smaller of
// the offset that the group has committed to Kafka and the position that the service keeps with its
// effects. A database that was restored, or failed over to a standby that lacked the last second,
// is behind Kafka: what it lost is read again. One that knows no position of a partition has no
// effect of its messages either (it was restored to a moment before the first of them), and the
// partition is read from its beginning. A database that is ahead (the process died between the two
// commits) reads its last messages twice, and the inbox knows them. A partition of which Kafka
// knows no committed offset is read from its beginning, whatever the database says: its topic may
// be a new one under an old name.
func (c *Consumer) startingPoints(ctx context.Context, partitions []kafka.TopicPartition) ([]kafka.TopicPartition, error) {
	ctx, cancel := context.WithTimeout(ctx, positionsTimeout)
	defer cancel()
	committed, err := c.client.Committed(slices.Clone(partitions), int(positionsTimeout.Milliseconds()))
	if err != nil {
		return nil, fmt.Errorf("ask Kafka for committed offsets: %w", err)
	}
	keys := make([]inbox.Partition, len(committed))
	for i, p := range committed {
		keys[i] = toPartition(p)
	}
	positions, err := c.options.Positions.Read(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	for i := range committed {
		position := positions[keys[i]] // 0, the beginning, where the database knows none
		if offset := int64(committed[i].Offset); offset > position {
			c.log.WarnContext(ctx, "the database is behind Kafka's committed offset; reading again", "topic", keys[i].Topic,
				"partition", keys[i].Partition, "committed", offset, "position", position)
			c.metrics.reread.Add(float64(offset - position))
			committed[i].Offset = kafka.Offset(position)
		}
		c.starts[keys[i]] = position
		if offset := int64(committed[i].Offset); offset >= 0 {
			c.starts[keys[i]] = offset
		}
	}
	return committed, nil
}

// begin is passed the offset of the first message that comes of a partition. If it is not the one
// that was asked for, retention may have removed those before: the database was restored from a
// backup that is older, or nobody has consumed for longer. They are lost to this service, and
// librdkafka does not say so: it goes on with the first that there is.
func (c *Consumer) begin(p inbox.Partition, first int64) {
	start, asked := c.starts[p]
	delete(c.starts, p)
	if !asked || first <= start {
		return
	}
	// The markers of transactions leave holes, too.
	oldest, _, err := c.client.QueryWatermarkOffsets(p.Topic, p.Partition, int(time.Second.Milliseconds()))
	if err != nil {
		c.log.Warn("messages between two offsets did not come, and where their partition begins is not known",
			"topic", p.Topic, "partition", p.Partition, "position", start, "first", first, "error", err)
		return
	}
	if oldest > start {
		c.log.Error("Kafka no longer has messages that were not applied: its retention is too short",
			"topic", p.Topic, "partition", p.Partition, "position", start, "oldest", oldest, "lost", oldest-start)
		c.metrics.expired.Add(float64(oldest - start))
	}
}

// assign starts to read partitions that were assigned. Those whose starting point cannot be learned
// now are assigned paused, and [Consumer.startUnpositioned] looks again: they are never read from a
// place that may be wrong.
func (c *Consumer) assign(ctx context.Context, client *kafka.Consumer, partitions []kafka.TopicPartition) error {
	if c.options.Positions == nil {
		return client.IncrementalAssign(partitions)
	}
	starts, err := c.startingPoints(ctx, partitions)
	if err == nil {
		return client.IncrementalAssign(starts)
	}
	c.log.WarnContext(ctx, "partitions wait to be read: where to start is not known", "partitions", names(partitions), "error", err)
	for _, p := range partitions {
		c.unpositioned[toPartition(p)] = true
	}
	c.positionAt, c.positionErr = time.Now().Add(positionsRetry), err
	if err := client.IncrementalAssign(partitions); err != nil {
		return err
	}
	return client.Pause(partitions)
}

// startUnpositioned looks again for the starting points of partitions that wait for them, and
// starts to read them. It is called outside of rebalances, by the goroutine that polls.
func (c *Consumer) startUnpositioned(ctx context.Context) {
	if len(c.unpositioned) == 0 || time.Now().Before(c.positionAt) {
		return
	}
	defer func() { c.positionAt = time.Now().Add(positionsRetry) }()
	waiting := make([]kafka.TopicPartition, 0, len(c.unpositioned))
	for p := range c.unpositioned {
		waiting = append(waiting, kafka.TopicPartition{Topic: &p.Topic, Partition: p.Partition})
	}
	starts, err := c.startingPoints(ctx, waiting)
	if err == nil {
		err = c.moveTo(starts)
	}
	if err != nil {
		c.positionErr = err
		c.log.DebugContext(ctx, "partitions still wait to be read", "partitions", names(waiting), "error", err)
		return
	}
	clear(c.unpositioned)
	c.log.InfoContext(ctx, "partitions are read", "partitions", names(waiting))
	if !c.outage {
		c.resume(waiting)
	}
}

// rewind drops everything that was read and has all partitions read again from the service's
// positions.
func (c *Consumer) rewind(reason error) {
	c.log.Warn("the database went back; reading again from its positions", "error", reason)
	assigned, err := c.client.Assignment()
	if err == nil && len(assigned) > 0 {
		err = c.client.Pause(assigned)
	}
	if err != nil {
		c.log.Warn("partitions not paused", "error", err)
	}
	for _, p := range assigned {
		c.drop(toPartition(p))
		c.unpositioned[toPartition(p)] = true
	}
	c.positionAt, c.positionErr = time.Time{}, reason
}

// moveTo has paused partitions read from other offsets once they are resumed.
func (c *Consumer) moveTo(starts []kafka.TopicPartition) error {
	for i := range starts {
		if starts[i].Offset == kafka.OffsetInvalid {
			starts[i].Offset = kafka.OffsetBeginning // none committed
		}
	}
	moved, err := c.client.SeekPartitions(starts)
	if err != nil {
		return fmt.Errorf("seek: %w", err)
	}
	for _, p := range moved {
		if p.Error != nil {
			return fmt.Errorf("seek %s: %w", toPartition(p), p.Error)
		}
	}
	return nil
}

// flush writes positions that lag, where there is no batch to write them along with. What it could
// not write is read again, and the inbox recognises it.
func (c *Consumer) flush(ctx context.Context) error {
	if c.options.Positions == nil {
		return nil
	}
	c.flushed = time.Now()
	ctx, cancel := context.WithTimeout(ctx, positionsTimeout)
	defer cancel()
	if err := c.options.Positions.Flush(ctx); err != nil {
		c.log.DebugContext(ctx, "positions not written", "error", err)
		return err
	}
	c.storeOffsets()
	return nil
}

// storeOffsets marks offsets for Kafka, as far as the service's positions have come: Kafka's are
// then never ahead of them unless the database goes back. librdkafka commits the marks every
// second, and when the partitions are given up.
func (c *Consumer) storeOffsets() {
	if len(c.unstored) == 0 {
		return
	}
	offsets := make([]kafka.TopicPartition, 0, len(c.unstored))
	for p, offset := range c.unstored {
		if c.options.Positions != nil {
			if written, ok := c.options.Positions.Written(p); ok && written != offset {
				continue // it lags
			}
		}
		offsets = append(offsets, kafka.TopicPartition{Topic: &p.Topic, Partition: p.Partition, Offset: kafka.Offset(offset)})
		delete(c.unstored, p)
	}
	if len(offsets) == 0 {
		return
	}
	if _, err := c.client.StoreOffsets(offsets); err != nil {
		// The messages come again, and the inbox knows them.
		c.log.Warn("offsets not stored", "error", err)
	}
}
