package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"
)

// Handler makes the effects of messages durable. M is the handler's own message type.
type Handler[M any] interface {
	// Process applies a batch in one transaction. When it returns nil the batch is durable;
	// after an error nothing of it has happened.
	Process(ctx context.Context, batch []M) error
	// Reject sets aside, durably, a message that Process refuses for good.
	Reject(ctx context.Context, message M, reason error) error
}

// ConsumerOptions says what to consume and how.
type ConsumerOptions struct {
	Group    string
	ClientID string
	Topics   []string
	// BatchSize bounds the messages of one batch; 0 stands for 500.
	BatchSize int
	// Transient tells an error that time mends (the database is away) from one that the message
	// brings about. Transient errors are waited out, however long they take.
	Transient func(error) bool
	// Positions, if set, returns the next offset that the service has kept with its effects, for those
	// of the given partitions that it knows. When partitions are assigned, reading starts at the smaller
	// of that and the group's committed offset, and at the beginning of those that it does not know.
	// While it returns an error, they are not read.
	// What to keep is in each message: [Message.Resume].
	Positions func(context.Context, []TopicPartition) (map[TopicPartition]int64, error)
}

// firstMessageWait bounds how long an idle consumer takes to notice that it is to stop.
const firstMessageWait = 100 * time.Millisecond

// Consumer reads topics as a member of a consumer group and hands messages over in batches: what
// has arrived, up to BatchSize, without waiting for more. Offsets are committed after the batch is
// durable, so a message is delivered at least once. A batch that fails is tried again; if it keeps
// failing it is taken apart, and the message at fault is rejected.
//
// One goroutine, the caller of Run, does all of it: librdkafka's rebalance callbacks run inside its
// calls to Poll, so no batch is in the hands of another goroutine when partitions are taken away.
type Consumer[M any] struct {
	client  *kafka.Consumer
	handler Handler[M]
	convert func(Message) M
	options ConsumerOptions
	log     *slog.Logger
	metrics consumerMetrics
	logs    *Logs

	running  context.Context         //nolint:containedctx // Run's own: librdkafka's callbacks are given none
	arrived  []Message               // received, not handed over yet
	lost     map[TopicPartition]bool // taken away since the batch in hand was received
	unplaced map[TopicPartition]bool // assigned, paused, and where to start is not known
	placeAt  time.Time               // when to look for that again
	waiting  bool                    // the batch in hand waits for its next attempt
	fatal    error                   // librdkafka cannot go on
	warned   time.Time               // when the log last said that no broker is there
}

// NewConsumer joins the group when Run is called; it does not wait for a broker.
func NewConsumer[M any](c Config, o ConsumerOptions, h Handler[M], convert func(Message) M, log *slog.Logger, reg prometheus.Registerer) (*Consumer[M], error) {
	client, err := kafka.NewConsumer(c.consumerConfig(o.Group, o.ClientID))
	if err != nil {
		return nil, fmt.Errorf("create Kafka consumer of group %s: %w", o.Group, err)
	}
	if o.BatchSize == 0 {
		o.BatchSize = 500
	}
	log = log.With("group", o.Group)
	return &Consumer[M]{
		client:  client,
		handler: h,
		convert: convert,
		options: o,
		log:     log,
		metrics: newConsumerMetrics(reg, o.Group),
		logs:    ReadLogs(client.Logs(), log),
		lost:    make(map[TopicPartition]bool),

		unplaced: make(map[TopicPartition]bool),
	}, nil
}

// Run consumes until ctx ends. A batch that is being applied then is rolled back and comes again
// later; what was made durable is committed before Run leaves the group and closes the client. It
// must be called once.
func (c *Consumer[M]) Run(ctx context.Context) (err error) {
	defer func() {
		if cerr := c.client.Close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("close Kafka consumer of group %s: %w", c.options.Group, cerr))
		}
		c.logs.Wait()
	}()
	c.running = ctx
	if err := c.client.SubscribeTopics(c.options.Topics, c.rebalance); err != nil {
		return fmt.Errorf("subscribe to %v: %w", c.options.Topics, err)
	}
	for ctx.Err() == nil && c.fatal == nil {
		c.place(ctx)
		if batch := c.collect(); len(batch) > 0 {
			c.metrics.batchSize.Observe(float64(len(batch)))
			c.settle(ctx, batch)
		}
	}
	return c.fatal
}

// Check reports whether a broker answers within the context's deadline; for a readiness page.
func (c *Consumer[M]) Check(ctx context.Context) error { return Check(ctx, c.client) }

// collect returns what has arrived. It waits a little for the first message only: under load, the
// next batch gathers in librdkafka's queue while this one is applied.
func (c *Consumer[M]) collect() []Message {
	clear(c.lost)
	for len(c.arrived) < c.options.BatchSize {
		timeout := firstMessageWait
		if len(c.arrived) > 0 {
			timeout = 0
		}
		event := c.client.Poll(int(timeout.Milliseconds()))
		if event == nil {
			break
		}
		c.take(event)
		if len(c.arrived) == 0 {
			break // an error; while no broker is there they come faster than firstMessageWait
		}
	}
	batch := c.kept(c.arrived)
	c.arrived = nil
	return batch
}

func (c *Consumer[M]) take(event kafka.Event) {
	switch e := event.(type) {
	case *kafka.Message:
		if err := e.TopicPartition.Error; err != nil {
			c.log.Warn("partition cannot be read", "topic", *e.TopicPartition.Topic, "partition", e.TopicPartition.Partition, "error", err)
			return
		}
		c.arrived = append(c.arrived, received(e))
	case kafka.Error:
		if e.IsFatal() {
			c.fatal = fmt.Errorf("consume as %s: %w", c.options.Group, e)
		}
		c.metrics.clientErrors.Inc()
		c.log.Log(context.Background(), c.severity(e), "kafka is in trouble", "error", e.Error())
	}
}

// reminder is how often the log says that no broker is there.
const reminder = 30 * time.Second

// severity keeps the log readable while a broker is away: librdkafka reports each connection that it
// fails to make, and with each, dozens of times a second, that no broker is left.
func (c *Consumer[M]) severity(e kafka.Error) slog.Level {
	code := e.Code()
	if code == kafka.ErrTransport || code == kafka.ErrResolve {
		return slog.LevelDebug
	}
	if code == kafka.ErrAllBrokersDown {
		if time.Since(c.warned) < reminder {
			return slog.LevelDebug
		}
		c.warned = time.Now()
	}
	return slog.LevelWarn
}

// rebalance runs inside Poll. Messages of a partition that is taken away leave the batch: its new
// owner gets them again, since their offsets are not stored.
func (c *Consumer[M]) rebalance(client *kafka.Consumer, event kafka.Event) error {
	switch e := event.(type) {
	case kafka.AssignedPartitions:
		c.log.Info("partitions assigned", "partitions", names(e.Partitions))
		for _, p := range e.Partitions {
			delete(c.lost, partitionOf(p))
			delete(c.unplaced, partitionOf(p))
		}
		if err := c.takeOn(c.running, client, e.Partitions); err != nil {
			return fmt.Errorf("take on partitions: %w", err)
		}
		if c.waiting {
			return client.Pause(e.Partitions)
		}
		// One that was taken away while it was paused is still paused, whoever had it meanwhile.
		c.resume(e.Partitions)
	case kafka.RevokedPartitions:
		c.log.Info("partitions revoked", "partitions", names(e.Partitions))
		for _, p := range e.Partitions {
			c.lost[partitionOf(p)] = true
			delete(c.unplaced, partitionOf(p))
		}
		return client.IncrementalUnassign(e.Partitions)
	}
	return nil
}

// kept returns the messages whose partitions are still ours.
func (c *Consumer[M]) kept(batch []Message) []Message {
	if len(c.lost) == 0 {
		return batch
	}
	return slices.DeleteFunc(slices.Clone(batch), func(m Message) bool {
		return c.lost[m.partition()]
	})
}

func names(partitions []kafka.TopicPartition) []string {
	out := make([]string, len(partitions))
	for i, p := range partitions {
		out[i] = fmt.Sprintf("%s/%d", *p.Topic, p.Partition)
	}
	return out
}
