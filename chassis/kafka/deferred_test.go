package kafka_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// durable is a consumer whose handler stores its positions with its effects.
type durable struct {
	*inbox.Processor[string, struct{}]
	broker  *kafkatest.Broker
	applied chan int
}

func newDurable(t *testing.T) *durable {
	t.Helper()
	db := pgtest.New(t, migrations.Outbox)
	d := &durable{broker: kafkatest.Start(t, "topic"), applied: make(chan int, 10_000)}
	d.Processor = &inbox.Processor[string, struct{}]{
		Consumer: "group", DB: db.Pool, Positions: inbox.NewPositions(db.Pool, "group"),
		Decode: func(d inbox.Delivery) (uuid.UUID, string, error) {
			return uuid.NewSHA1(uuid.NameSpaceOID, d.Value), string(d.Value), nil
		},
		Apply: func(context.Context, *inbox.Tx, *struct{}, []inbox.Received[string]) ([]outbox.Message, error) {
			return nil, nil
		},
		Observe: func(o inbox.Outcome) { d.applied <- o.Applied + o.Duplicates },
	}
	return d
}

func (d *durable) start(t *testing.T, positions kafka.Positions) (stop func()) {
	t.Helper()
	o := kafka.ConsumerOptions{Group: "group", Topics: []string{"topic"}, Positions: positions}
	c, err := kafka.NewConsumer(plaintext(d.broker.Addr()), o, d, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(t, err)
	return runUntilStopped(t, c)
}

func (d *durable) await(t *testing.T, n int) {
	t.Helper()
	for timeout := time.After(waitTimeout); n > 0; {
		select {
		case applied := <-d.applied:
			n -= applied
		case <-timeout:
			require.FailNow(t, "gave up waiting", "%d messages were not applied", n)
		}
	}
}

// stored sums up the positions, over all partitions.
func (d *durable) stored(t *testing.T) (sum int64) {
	t.Helper()
	require.NoError(t, d.DB.QueryRow(t.Context(), "select coalesce(sum(next_offset), 0) from consumer_positions").Scan(&sum))
	return sum
}

func (d *durable) committed(t *testing.T) (sum int64) {
	t.Helper()
	for _, offset := range d.broker.Committed(t, "group", "topic") {
		sum += max(offset, 0)
	}
	return sum
}

// Deadlines compare positions with the ends of partitions, so an idle consumer must not leave them
// behind.
func TestConsumer_WritesPositionsThatLagWhenItIsIdle(t *testing.T) {
	t.Parallel()
	d := newDurable(t)
	d.start(t, d.Positions)
	for i := range 20 { // one after the other, so that most batches leave their position behind
		produce(t, d.broker, i, i+1)
		d.await(t, 1)
	}
	require.Eventually(t, func() bool { return d.stored(t) == 20 }, waitTimeout, 5*time.Millisecond)
	require.Eventually(t, func() bool { return d.committed(t) == 20 }, waitTimeout, 20*time.Millisecond)
}

func TestConsumer_WritesPositionsThatLagBeforeItLeaves(t *testing.T) {
	t.Parallel()
	d := newDurable(t)
	stop := d.start(t, d.Positions)
	for i := range 20 {
		produce(t, d.broker, i, i+1)
		d.await(t, 1)
	}
	stop()
	require.Equal(t, int64(20), d.stored(t))
	require.Equal(t, int64(20), d.committed(t))
}

// unflushed are positions that are written by the first batch of a partition only.
type unflushed struct{ *inbox.Positions }

func (p unflushed) Defer(time.Duration)       { p.Positions.Defer(time.Hour) }
func (unflushed) Flush(context.Context) error { return errUnavailable }

// Where Kafka were ahead, the next owner of the partition would report a database that went back.
func TestConsumer_KafkaIsNeverAheadOfThePositions(t *testing.T) {
	t.Parallel()
	d := newDurable(t)
	stop := d.start(t, unflushed{d.Positions})
	for i := range 20 {
		produce(t, d.broker, i, i+1)
		d.await(t, 1)
	}
	stop() // the offsets that are marked are committed
	require.Less(t, d.stored(t), int64(20))
	require.Equal(t, d.stored(t), d.committed(t))
}
