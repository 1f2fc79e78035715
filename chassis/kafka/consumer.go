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

	"waybill.example/chassis/fault"
	"waybill.example/chassis/pace"
	"waybill.example/sdk/inbox"
)

// Handler makes the effects of messages durable; [inbox.Processor] implements it.
type Handler interface {
	// Process applies a batch in one transaction. When it returns nil the batch is durable;
	// after an error nothing of it has happened.
	Process(ctx context.Context, batch []inbox.Delivery) error
	// Reject sets aside, durably, a message that Process refuses for good.
	Reject(ctx context.Context, message inbox.Delivery, reason error) error
}

// ConsumerOptions says what to consume and how.
type ConsumerOptions struct {
	Group    string
	ClientID string
	Topics   []string
	// BatchSize bounds the messages of one batch; 0 stands for 500.
	BatchSize int
	// Classify says whose fault an error of the handler is. Without it every error is the
	// message's.
	Classify func(error) fault.Fault
	// Positions, if set, are those that the handler stores with its effects, from
	// [inbox.Delivery].Resume. When partitions are assigned, reading starts at the smaller of the
	// stored position and the group's committed offset, and at the beginning of those that have
	// none. While they cannot be read, neither are their partitions. After an error that is
	// [inbox.Rewound] they are read again.
	Positions Positions
	// FailFast, if set, returns a context for attempts that find out which messages of a batch have
	// to wait, and that must not wait long themselves.
	FailFast func(context.Context) context.Context
	// Blockers, if set, names who holds the locks that an attempt waits for: who it is, and behind
	// a comma what it does. It is asked while an attempt takes long.
	Blockers func(context.Context) ([]string, error)
}

const (
	// firstMessageWait bounds how long an idle consumer takes to notice that it is to stop. Each
	// such wait in C costs some forty wake-ups of the Go runtime's monitor thread.
	firstMessageWait = 200 * time.Millisecond
	// attemptTimeout bounds one attempt to apply a batch.
	attemptTimeout = 30 * time.Second
	// closeTimeout bounds leaving the group, which takes some seconds while no broker answers. A
	// client that was fenced never finishes (confluent-kafka-go 2.15): it is given closeFenced.
	closeTimeout = 10 * time.Second
	closeFenced  = 2 * time.Second
)

// Consumer reads topics as a member of a consumer group and dispatches messages in batches: what
// has arrived, up to BatchSize, a few milliseconds apart where many come. Offsets are committed
// after the batch is durable, so a message is delivered at least once. What happens to a batch that
// fails depends on whose fault it is; see the package's documentation.
//
// One goroutine, the caller of Run, does all of it: librdkafka's rebalance callbacks run inside its
// calls to Poll, so no batch is in progress in another goroutine when partitions are taken away.
// Others read status only.
type Consumer struct {
	client  *kafka.Consumer
	handler Handler
	options ConsumerOptions
	log     *slog.Logger
	metrics consumerMetrics
	logs    *Logs
	status  *status
	unlogin func() // ends what FollowLogin began

	running      context.Context           //nolint:containedctx // Run's own: librdkafka's callbacks are given none
	buffered     []inbox.Delivery          // received, not dispatched yet; of partitions that are ours
	last         map[inbox.Partition]int64 // the offset that was received last
	starts       map[inbox.Partition]int64 // from where partitions are read that nothing has come of yet
	restart      restart                   // what has come since a partition began again
	revoked      map[inbox.Partition]bool  // taken away since the current batch was received
	unpositioned map[inbox.Partition]bool  // assigned, paused, and where to start is not known
	positionAt   time.Time                 // when to look for that again
	positionErr  error                     // why it is not known
	outage       bool                      // all partitions are paused: nothing can be done now
	applied      map[inbox.Partition]int64 // behind the last message that was applied
	unstored     map[inbox.Partition]int64 // offsets to be marked for Kafka once the position is written
	held         backlog
	flushed      time.Time                // when positions were last written without a batch
	lastPatient  time.Time                // when a held message was last tried as patiently as a new one
	worked       time.Duration            // how long the last batch took, until held messages are tried
	pending      [][]inbox.Delivery       // parts of the current batch that have not been tried yet
	full         map[inbox.Partition]bool // paused, since too many of their messages are held
	pace         pace.Pace                // how far apart batches begin
	polled       time.Time                // when Poll was last called
	fatal        error                    // librdkafka cannot go on
	lastWarned   time.Time                // when the log last said that no broker answers
}

// NewConsumer joins the group when Run is called; it does not wait for a broker.
func NewConsumer(c Config, o ConsumerOptions, h Handler, log *slog.Logger, reg prometheus.Registerer) (*Consumer, error) {
	client, err := kafka.NewConsumer(c.consumerConfig(o.Group, o.ClientID))
	if err != nil {
		return nil, fmt.Errorf("create Kafka consumer of group %s: %w", o.Group, err)
	}
	if o.BatchSize == 0 {
		o.BatchSize = 500
	}
	if o.Positions != nil {
		o.Positions.Defer(positionsLag)
	}
	log = log.With("group", o.Group)
	status := newStatus(log)
	prometheus.WrapRegistererWith(prometheus.Labels{"group": o.Group}, reg).MustRegister(newStatusCollector(status, client))
	return &Consumer{
		client:  client,
		handler: h,
		options: o,
		log:     log,
		metrics: newConsumerMetrics(reg, o.Group),
		logs:    ReadLogs(client.Logs(), log),
		status:  status,
		unlogin: c.FollowLogin(client),

		revoked:      make(map[inbox.Partition]bool),
		unpositioned: make(map[inbox.Partition]bool),
		last:         make(map[inbox.Partition]int64),
		starts:       make(map[inbox.Partition]int64),
		applied:      make(map[inbox.Partition]int64),
		unstored:     make(map[inbox.Partition]int64),
		full:         make(map[inbox.Partition]bool),
		held:         newBacklog(),
	}, nil
}

// Run consumes until ctx ends. A batch that is being applied then is rolled back and comes again
// later; what was made durable is committed before Run leaves the group and closes the client. It
// returns an error when the client cannot go on, as after another process took its
// group.instance.id. It must be called once.
func (c *Consumer) Run(ctx context.Context) (err error) {
	defer func() {
		_ = c.flush(context.WithoutCancel(ctx))
		c.status.end(err) // before the client goes, which metrics and readiness ask
		err = errors.Join(err, c.close())
	}()
	c.running = ctx
	if err := c.client.SubscribeTopics(c.options.Topics, c.rebalance); err != nil {
		return fmt.Errorf("subscribe to %v: %w", c.options.Topics, err)
	}
	for c.canContinue(ctx) {
		c.startUnpositioned(ctx)
		c.retryHeld(ctx)
		if batch := c.collect(); len(batch) > 0 {
			c.metrics.batchSize.Observe(float64(len(batch)))
			began := time.Now()
			// While a lock is held, each batch would wait for it in turn.
			c.process(ctx, batch, c.held.locked())
			c.worked = time.Since(began)
		} else if time.Since(c.flushed) > positionsLag {
			if err := c.flush(ctx); inbox.Rewound(err) {
				c.rewind(err)
			}
		}
		c.report()
	}
	return c.fatal
}

func (c *Consumer) canContinue(ctx context.Context) bool { return ctx.Err() == nil && c.fatal == nil }

// close leaves the group. A client that does not come back from it is left behind.
func (c *Consumer) close() error {
	closed := make(chan error, 1)
	go func() {
		c.unlogin()
		err := c.client.Close()
		c.logs.Wait()
		closed <- err
	}()
	timeout := closeTimeout
	if c.fatal != nil {
		timeout = closeFenced
	}
	select {
	case err := <-closed:
		if err != nil {
			return fmt.Errorf("close Kafka consumer of group %s: %w", c.options.Group, err)
		}
	case <-time.After(timeout):
		c.log.Warn("Kafka consumer not closed; leaving it behind", "after", timeout)
	}
	return nil
}

// Check reports whether a broker answers within the context's deadline; for a readiness page.
func (c *Consumer) Check(ctx context.Context) error {
	if c.status.ended() {
		return errors.New("the consumer has ended")
	}
	return Check(ctx, c.client)
}

// Ready returns nil while the consumer does its work, and otherwise what keeps it from it, in words
// that anybody may read; for a readiness page. It does not look at the broker.
func (c *Consumer) Ready(context.Context) error { return c.status.ready() }

// collect returns what has arrived. It waits for the first message, and for others only where they
// come so fast that batches are spaced (see package pace): the next batch gathers in librdkafka's
// queue.
func (c *Consumer) collect() []inbox.Delivery {
	c.restartPartitions()
	c.gather(c.pace.Wait(time.Now()))
	for len(c.buffered) < c.options.BatchSize && !c.restart.pending() {
		var timeout time.Duration
		if len(c.buffered) == 0 {
			timeout = c.held.wait(firstMessageWait)
		}
		event := c.poll(timeout)
		if event == nil {
			break
		}
		c.handleEvent(event)
		if len(c.buffered) == 0 {
			break // an error; while no broker is there they come faster than firstMessageWait
		}
		if now := time.Now(); len(c.buffered) == 1 && now.Sub(c.polled) > time.Millisecond && c.pace.Busy(now) {
			c.gather(sentTogether) // it was waited for
		}
	}
	batch := c.buffered
	c.buffered = nil
	clear(c.revoked) // drop has seen to it that what has arrived is ours
	if len(batch) > 0 {
		c.pace.Began(len(batch), time.Now())
	}
	return batch
}

// sentTogether is how long after the first of several messages that were sent together the others
// come: those of each partition come in a request of their own.
const sentTogether = 2 * time.Millisecond

// gather lets messages arrive for a while. It does not do so inside of Poll: a goroutine that waits
// in C holds a processor until Go's runtime has noticed that it does.
func (c *Consumer) gather(window time.Duration) {
	if window <= 0 {
		return
	}
	timer := time.NewTimer(window)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.running.Done():
	}
}

func (c *Consumer) poll(timeout time.Duration) kafka.Event {
	c.polled = time.Now()
	return c.client.Poll(int(timeout.Milliseconds()))
}

func (c *Consumer) handleEvent(event kafka.Event) {
	switch e := event.(type) {
	case *kafka.Message:
		if err := e.TopicPartition.Error; err != nil {
			c.log.Warn("partition cannot be read", "topic", *e.TopicPartition.Topic, "partition", e.TopicPartition.Partition, "error", err)
			return
		}
		c.receive(received(e))
	case *kafka.Stats:
		c.status.statistics(e.String())
	case kafka.Error:
		if e.IsFatal() {
			c.fatal = c.fatalError(e)
		}
		c.metrics.clientErrors.Inc()
		c.log.Log(c.running, c.severity(e), "kafka client error", "error", e.Error())
	}
}

// fatalError says what an operator can do about an error that ends the consumer.
func (c *Consumer) fatalError(e kafka.Error) error {
	if e.Code() == kafka.ErrFencedInstanceID {
		return fmt.Errorf("consume as %s: another process has the same group.instance.id and took this one's place; "+
			"each process needs one of its own (see KAFKA_PROPERTIES): %w", c.options.Group, e)
	}
	return fmt.Errorf("consume as %s: %w", c.options.Group, e)
}

// brokersDownInterval is how often the log says that no broker answers.
const brokersDownInterval = 30 * time.Second

// severity keeps the log readable while a broker is unavailable: librdkafka reports each connection
// that it fails to make, and with each, dozens of times a second, that no broker is left.
func (c *Consumer) severity(e kafka.Error) slog.Level {
	code := e.Code()
	if e.IsFatal() {
		return slog.LevelError
	}
	if code == kafka.ErrTransport || code == kafka.ErrResolve {
		return slog.LevelDebug
	}
	if code == kafka.ErrAllBrokersDown {
		if time.Since(c.lastWarned) < brokersDownInterval {
			return slog.LevelDebug
		}
		c.lastWarned = time.Now()
	}
	return slog.LevelWarn
}

// rebalance runs inside Poll. Messages of a partition that is taken away are dropped, wherever they
// are: its new owner gets them again, since their offsets are not stored. That goes also for a
// partition that comes back at once, which is read again from the committed offset; going on with
// old messages of it could bring one in front of an earlier one that the other owner has not
// applied yet.
func (c *Consumer) rebalance(client *kafka.Consumer, event kafka.Event) error {
	c.metrics.rebalances.Inc()
	switch e := event.(type) {
	case kafka.AssignedPartitions:
		c.log.Info("partitions assigned", "partitions", names(e.Partitions))
		c.status.assigned(e.Partitions)
		if err := c.assign(c.running, client, e.Partitions); err != nil {
			return fmt.Errorf("assign partitions: %w", err)
		}
		if c.outage {
			return client.Pause(e.Partitions)
		}
		// One that was taken away while it was paused is still paused, whichever process had it
		// meanwhile.
		c.resume(e.Partitions)
	case kafka.RevokedPartitions:
		c.log.Info("partitions revoked", "partitions", names(e.Partitions))
		_ = c.flush(context.WithoutCancel(c.running))
		for _, p := range e.Partitions {
			c.drop(toPartition(p))
		}
		c.status.revoked(e.Partitions)
		return client.IncrementalUnassign(e.Partitions)
	}
	return nil
}

// drop forgets a partition.
func (c *Consumer) drop(p inbox.Partition) {
	c.revoked[p] = true
	delete(c.unpositioned, p)
	delete(c.applied, p)
	delete(c.unstored, p)
	delete(c.full, p)
	delete(c.last, p)
	delete(c.starts, p)
	c.held.drop(p)
	if c.options.Positions != nil {
		c.options.Positions.Forget(p)
	}
	c.buffered = slices.DeleteFunc(c.buffered, func(m inbox.Delivery) bool { return partitionOf(m) == p })
	c.restart.drop(p)
}

// stillAssigned returns the messages whose partitions are still ours.
func (c *Consumer) stillAssigned(batch []inbox.Delivery) []inbox.Delivery {
	if len(c.revoked) == 0 {
		return batch
	}
	return slices.DeleteFunc(slices.Clone(batch), func(m inbox.Delivery) bool { return c.revoked[partitionOf(m)] })
}

func names(partitions []kafka.TopicPartition) []string {
	out := make([]string, len(partitions))
	for i, p := range partitions {
		out[i] = toPartition(p).String()
	}
	return out
}
