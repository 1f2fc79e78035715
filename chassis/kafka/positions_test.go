package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
	"waybill.example/devstack/kafkatest"
	"waybill.example/sdk/inbox"
)

type positions map[inbox.Partition]int64

// readFunc is positions as a function.
type readFunc func(context.Context, []inbox.Partition) (map[inbox.Partition]int64, error)

func (f readFunc) Read(ctx context.Context, partitions []inbox.Partition) (map[inbox.Partition]int64, error) {
	return f(ctx, partitions)
}

func (readFunc) Written(inbox.Partition) (int64, bool) { return 0, false }
func (readFunc) Defer(time.Duration)                   {}
func (readFunc) Flush(context.Context) error           { return nil }
func (readFunc) Forget(...inbox.Partition)             {}

// start runs a consumer of "topic", in group "group", with further options.
func start(t *testing.T, addr string, h kafka.Handler, with func(*kafka.ConsumerOptions)) (stop func()) {
	t.Helper()
	o := kafka.ConsumerOptions{
		Group: "group", Topics: []string{"topic"}, BatchSize: 100,
		Classify: classify,
	}
	with(&o)
	return startWith(t, addr, o, h)
}

// consumed has the group read and commit what is on the topic.
func consumed(t *testing.T, b *kafkatest.Broker, n int) {
	t.Helper()
	l := newLedger()
	stop := consume(t, b.Addr(), l)
	l.await(t, "everything", func(l *ledger) bool { return len(l.applied) >= n })
	stop()
}

func offsetsOf(l *ledger) map[inbox.Partition]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := make(map[inbox.Partition]int64)
	for _, m := range l.messages {
		p := inbox.Partition{Topic: m.Topic, Partition: m.Partition}
		if offset, ok := first[p]; !ok || m.Offset < offset {
			first[p] = m.Offset
		}
	}
	return first
}

func TestConsumer_StartsAtTheSmallerOfKafkasOffsetAndTheServices(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	produce(t, b, 0, 300)
	consumed(t, b, 300)
	committed := b.Committed(t, "group", "topic")
	behind, ahead := inbox.Partition{Topic: "topic", Partition: 0}, inbox.Partition{Topic: "topic", Partition: 1}
	unknown := inbox.Partition{Topic: "topic", Partition: 2}
	l := newLedger()
	start(t, b.Addr(), l, func(o *kafka.ConsumerOptions) {
		o.Positions = readFunc(func(_ context.Context, asked []inbox.Partition) (map[inbox.Partition]int64, error) {
			require.Len(t, asked, 3)
			return positions{behind: 5, ahead: committed[1] + 1000}, nil
		})
	})
	produce(t, b, 300, 400)
	want := int(committed[behind.Partition]) - 5 + int(committed[unknown.Partition]) + 100
	l.await(t, "what the database lost, and what is new", func(l *ledger) bool { return len(l.applied) >= want })
	require.Len(t, l.distinct(), want)
	first := offsetsOf(l)
	require.Equal(t, int64(5), first[behind])
	require.Equal(t, committed[1], first[ahead], "the database may be ahead of Kafka")
	require.Zero(t, first[unknown], "a database from before the first message has no position, and no effect")
}

func TestConsumer_APartitionWithoutACommittedOffsetIsReadFromItsBeginning(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	want := produce(t, b, 0, 100)
	l := newLedger()
	start(t, b.Addr(), l, func(o *kafka.ConsumerOptions) {
		o.Positions = readFunc(func(context.Context, []inbox.Partition) (map[inbox.Partition]int64, error) {
			return positions{{Topic: "topic", Partition: 0}: 7, {Topic: "topic", Partition: 1}: 7, {Topic: "topic", Partition: 2}: 7}, nil
		})
	})
	l.await(t, "all", func(l *ledger) bool { return len(l.applied) >= 100 })
	require.Equal(t, want, l.distinct())
}

// A database from a backup that is older than Kafka's retention cannot read again all that it
// lacks. That must not pass in silence.
func TestConsumer_SaysWhatKafkaNoLongerHas(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	produce(t, b, 0, 300)
	consumed(t, b, 300)
	b.DeleteRecords(t, "topic", map[int32]int64{0: 20, 1: 5})
	l := newLedger()
	w := watch(t, plaintext(b.Addr()), l, func(o *kafka.ConsumerOptions) {
		o.Positions = readFunc(func(context.Context, []inbox.Partition) (map[inbox.Partition]int64, error) {
			return positions{{Topic: "topic", Partition: 0}: 7, {Topic: "topic", Partition: 1}: 7, {Topic: "topic", Partition: 2}: 7}, nil
		})
	})
	l.await(t, "what there is", func(l *ledger) bool { return len(l.applied) >= 300-3*7-13 })
	require.InDelta(t, 13, w.value(t, "waybill_consumer_expired_messages_total", ""), 0, "7 to 19 of partition 0; nothing of the others")
	require.Equal(t, 1, w.log.count("Kafka no longer has messages that were not applied"))
}

// Reading from Kafka's offset while the database does not answer would skip what a restored
// database has lost.
func TestConsumer_PartitionsWaitUntilThePositionsAreKnown(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	produce(t, b, 0, 300)
	consumed(t, b, 300)
	var away atomic.Bool
	away.Store(true)
	asked := make(chan struct{}, 100)
	l := newLedger()
	start(t, b.Addr(), l, func(o *kafka.ConsumerOptions) {
		o.Positions = readFunc(func(_ context.Context, partitions []inbox.Partition) (map[inbox.Partition]int64, error) {
			select {
			case asked <- struct{}{}:
			default:
			}
			if away.Load() {
				return nil, errUnavailable
			}
			known := make(positions)
			for _, p := range partitions {
				known[p] = 3
			}
			return known, nil
		})
	})
	produce(t, b, 300, 400)
	for range 3 { // in the rebalance, and twice after it
		select {
		case <-asked:
		case <-time.After(waitTimeout):
			require.Fail(t, "the positions are not asked for again")
		}
	}
	l.mu.Lock()
	require.Empty(t, l.applied, "nothing is read before the positions are known")
	l.mu.Unlock()
	away.Store(false)
	l.await(t, "all but the first of each partition", func(l *ledger) bool { return len(l.applied) >= 400-9 })
	require.Len(t, l.distinct(), 400-9)
	for _, offset := range offsetsOf(l) {
		require.Equal(t, int64(3), offset)
	}
}

// The database is failed over to a standby that lacks what was applied last, and nobody restarts
// the consumer.
func TestConsumer_ReadsAgainWhatADatabaseLostThatWentBack(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	produce(t, b, 0, 300)
	l := newLedger()
	var back atomic.Bool
	start(t, b.Addr(), l, func(o *kafka.ConsumerOptions) {
		o.Positions = readFunc(func(_ context.Context, partitions []inbox.Partition) (map[inbox.Partition]int64, error) {
			if !back.Load() {
				return nil, nil
			}
			l.set(func(l *ledger) { l.refuse = nil })
			known := make(positions)
			for _, p := range partitions {
				known[p] = 9
			}
			return known, nil
		})
	})
	l.await(t, "all", func(l *ledger) bool { return len(l.applied) >= 300 })
	require.Eventually(t, func() bool { // or there is nothing to go back from
		var committed int64
		for _, offset := range b.Committed(t, "group", "topic") {
			committed += offset
		}
		return committed == 300
	}, waitTimeout, 10*time.Millisecond)
	back.Store(true)
	l.set(func(l *ledger) {
		l.applied, l.messages = nil, nil
		l.refuse = func(inbox.Delivery) error { return errBack }
	})
	produce(t, b, 300, 301)
	l.await(t, "what was lost", func(l *ledger) bool { return len(l.applied) >= 301-27 })
	require.Len(t, l.distinct(), 301-27)
	for _, offset := range offsetsOf(l) {
		require.Equal(t, int64(9), offset)
	}
}

// errBack is what inbox_expect_positions raises.
var errBack = fmt.Errorf("process: %w", &pgconn.PgError{Code: "WB001", Message: "the database went back"})

func TestConsumer_MessagesSayWhereTheirPartitionGoesOn(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	produce(t, b, 0, 50)
	l := newLedger()
	consume(t, b.Addr(), l)
	l.await(t, "all", func(l *ledger) bool { return len(l.applied) >= 50 })
	l.mu.Lock()
	defer l.mu.Unlock()
	last := make(map[int32]inbox.Delivery)
	for _, m := range l.messages {
		require.Greater(t, m.Resume, m.Offset)
		last[m.Partition] = m
	}
	for _, m := range last {
		require.Equal(t, m.Offset+1, m.Resume)
	}
}

// startWith runs a consumer until the test, or the returned function, ends it.
func startWith(t *testing.T, addr string, o kafka.ConsumerOptions, h kafka.Handler) (stop func()) {
	t.Helper()
	c, err := kafka.NewConsumer(plaintext(addr), o, h,
		slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(t, err)
	return runUntilStopped(t, c)
}
