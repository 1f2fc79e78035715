package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/chassis/kafka"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/sdk/inbox"
)

// A fenced client never closes (confluent-kafka-go 2.15), which one of the tests shows to be
// harmless.
func TestMain(m *testing.M) {
	pgtest.Main(m,
		goleak.IgnoreAnyFunction("waybill.example/chassis/kafka.(*Consumer).close.func1"),
		goleak.IgnoreAnyFunction("waybill.example/chassis/kafka.ReadLogs.func1"))
}

const waitTimeout = 2 * time.Minute

var errUnavailable = errors.New("the database is unavailable")

// ledger is a handler that remembers what it was given; its faults are set by the test.
type ledger struct {
	mu          sync.Mutex
	applied     []string
	messages    []inbox.Delivery // those that were applied
	rejected    []string
	batches     []int
	unavailable bool
	poison      string
	refuse      func(inbox.Delivery) error // of a message, wherever it stands in a batch
	calls       int
	changed     chan struct{}
}

func newLedger() *ledger { return &ledger{changed: make(chan struct{}, 1)} }

func (l *ledger) Process(_ context.Context, batch []inbox.Delivery) error {
	defer l.signal()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.unavailable {
		return errUnavailable
	}
	for _, m := range batch {
		if l.poison != "" && string(m.Value) == l.poison {
			return fmt.Errorf("message %s violates a check", m.Value)
		}
	}
	for _, m := range batch {
		if l.refuse == nil {
			break
		}
		if err := l.refuse(m); err != nil {
			return err
		}
	}
	l.batches = append(l.batches, len(batch))
	for _, m := range batch {
		l.applied = append(l.applied, string(m.Value))
		l.messages = append(l.messages, m)
	}
	return nil
}

func (l *ledger) Reject(_ context.Context, m inbox.Delivery, reason error) error {
	defer l.signal()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unavailable {
		return errUnavailable
	}
	l.rejected = append(l.rejected, string(m.Value)+": "+reason.Error())
	return nil
}

func (l *ledger) signal() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *ledger) set(change func(*ledger)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// await waits until what the handler has seen satisfies a condition.
func (l *ledger) await(t *testing.T, what string, ok func(*ledger) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	for {
		l.mu.Lock()
		done := ok(l)
		l.mu.Unlock()
		if done {
			return
		}
		select {
		case <-l.changed:
		case <-ctx.Done():
			l.mu.Lock()
			defer l.mu.Unlock()
			require.FailNow(t, "gave up waiting for "+what, "applied %v, rejected %v", l.applied, l.rejected)
		}
	}
}

func (l *ledger) distinct() []string { return slices.Compact(slices.Sorted(slices.Values(l.applied))) }

// consume runs a consumer until the test, or the returned function, ends it.
func consume(t *testing.T, addr string, h kafka.Handler) (stop func()) {
	t.Helper()
	return start(t, addr, h, func(*kafka.ConsumerOptions) {})
}

// plaintext are the settings of a consumer that stays a member of its group also where a busy
// machine lets it do nothing for seconds: another assignment would deliver messages again.
func plaintext(addr string) kafka.Config {
	return kafka.Config{Brokers: []string{addr}, SecurityProtocol: "PLAINTEXT", Properties: []string{"session.timeout.ms=30000"}}
}

func runUntilStopped(t *testing.T, c *kafka.Consumer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(waitTimeout):
			require.Fail(t, "the consumer did not stop")
		}
	})
	t.Cleanup(stop)
	return stop
}

func produce(t *testing.T, b *kafkatest.Broker, from, to int) (values []string) {
	t.Helper()
	var records []kafkatest.Record
	for i := from; i < to; i++ {
		v := fmt.Sprintf("m%04d", i)
		values = append(values, v)
		records = append(records, kafkatest.Record{Topic: "topic", Key: fmt.Append(nil, i%7), Value: []byte(v)})
	}
	b.Produce(t, records...)
	return values
}

func TestEveryMessageIsHandedOverAndItsOffsetCommitted(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	want := produce(t, b, 0, 500)
	l := newLedger()
	stop := consume(t, b.Addr(), l)
	l.await(t, "500 messages", func(l *ledger) bool { return len(l.applied) >= 500 })
	stop()
	require.Equal(t, want, l.distinct())
	require.LessOrEqual(t, slices.Max(l.batches), 100)

	var committed int64
	for _, offset := range b.Committed(t, "group", "topic") {
		committed += offset
	}
	require.Equal(t, int64(500), committed)
}

func TestABrokerThatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	produce(t, b, 0, 3)
	b.Stop()
	l := newLedger()
	consume(t, b.Addr(), l)
	b.Start(t)
	l.await(t, "3 messages", func(l *ledger) bool { return len(l.applied) >= 3 })
}

func TestABrokerThatGoesAwayAndReturnsLosesNothing(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	l := newLedger()
	consume(t, b.Addr(), l)
	produce(t, b, 0, 10)
	l.await(t, "the first 10", func(l *ledger) bool { return len(l.distinct()) == 10 })
	b.Stop()
	b.Start(t)
	produce(t, b, 10, 20)
	l.await(t, "all 20", func(l *ledger) bool { return len(l.distinct()) == 20 })
}

func TestATransientErrorIsWaitedOutAndNothingIsRejected(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	l := newLedger()
	l.unavailable = true
	want := produce(t, b, 0, 50)
	consume(t, b.Addr(), l)
	// More calls than a permanent error is granted.
	l.await(t, "6 attempts", func(l *ledger) bool { return l.calls >= 6 })
	l.set(func(l *ledger) { l.unavailable = false })
	l.await(t, "all 50", func(l *ledger) bool { return len(l.distinct()) == 50 })
	require.Equal(t, want, l.distinct())
	require.Empty(t, l.rejected)
}

func TestAMessageAtFaultIsSetAsideAndTheOthersGoThrough(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	l := newLedger()
	l.poison = "m0007"
	produce(t, b, 0, 20)
	stop := consume(t, b.Addr(), l)
	l.await(t, "19 applied, 1 rejected", func(l *ledger) bool { return len(l.distinct()) == 19 && len(l.rejected) == 1 })
	stop()
	require.Equal(t, []string{"m0007: message m0007 violates a check"}, l.rejected)
	require.NotContains(t, l.applied, "m0007")

	// It is done with: a new member of the group is not given it again.
	next := newLedger()
	consume(t, b.Addr(), next)
	produce(t, b, 20, 21)
	next.await(t, "the next message", func(l *ledger) bool { return slices.Contains(l.applied, "m0020") })
	require.NotContains(t, strings.Join(next.applied, " "), "m0007")
}

// A consumer whose database is unavailable must stay in the group, or its partitions wander from
// one stuck member to the next. When a second member joins meanwhile, each message still reaches a
// database at least once.
func TestAPartitionThatMovesWhileItsBatchWaitsLosesNothing(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	first, second := newLedger(), newLedger()
	first.unavailable = true
	produce(t, b, 0, 100)
	consume(t, b.Addr(), first)
	first.await(t, "a failed attempt", func(l *ledger) bool { return l.calls > 0 })
	consume(t, b.Addr(), second)
	second.await(t, "a share of the messages", func(l *ledger) bool { return len(l.applied) > 0 })
	first.set(func(l *ledger) { l.unavailable = false })

	all := func() []string {
		first.mu.Lock()
		defer first.mu.Unlock()
		second.mu.Lock()
		defer second.mu.Unlock()
		return slices.Compact(slices.Sorted(slices.Values(slices.Concat(first.applied, second.applied))))
	}
	require.Eventually(t, func() bool { return len(all()) == 100 }, waitTimeout, 10*time.Millisecond)
}

// A partition that is taken away while the consumer waits for its database is paused at that
// moment. When it comes back it has to be read again.
func TestAPartitionThatWasTakenAwayWhilePausedIsReadWhenItComesBack(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	first, second := newLedger(), newLedger()
	first.unavailable = true
	produce(t, b, 0, 100)
	consume(t, b.Addr(), first)
	first.await(t, "a failed attempt", func(l *ledger) bool { return l.calls > 0 })
	stop := consume(t, b.Addr(), second)
	second.await(t, "a share of the messages", func(l *ledger) bool { return len(l.applied) > 0 })
	first.set(func(l *ledger) { l.unavailable = false })
	first.await(t, "its own share", func(l *ledger) bool { return len(l.applied) > 0 })
	stop()
	produce(t, b, 100, 200) // to every partition
	first.await(t, "the messages of every partition", func(l *ledger) bool {
		return len(slices.DeleteFunc(l.distinct(), func(m string) bool { return m < "m0100" })) == 100
	})
}

func TestHeadersKeyAndPlaceArrive(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	b.Produce(t, kafkatest.Record{Topic: "topic", Key: []byte("k"), Value: []byte("v"), Headers: map[string]string{"ce_id": "1"}})
	got := make(chan inbox.Delivery, 1)
	consume(t, b.Addr(), forward(got))
	select {
	case m := <-got:
		require.Equal(t, "topic", m.Topic)
		require.Equal(t, "k", string(m.Key))
		require.Equal(t, []inbox.Header{{Key: "ce_id", Value: []byte("1")}}, m.Headers)
		require.Zero(t, m.Offset)
		require.False(t, m.Time.IsZero())
	case <-time.After(waitTimeout):
		require.Fail(t, "nothing arrived")
	}
}

type forward chan inbox.Delivery

func (f forward) Process(_ context.Context, batch []inbox.Delivery) error {
	for _, m := range batch {
		f <- m
	}
	return nil
}
func (forward) Reject(context.Context, inbox.Delivery, error) error { return nil }
