package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/fault"
	"waybill.example/chassis/kafka"
	"waybill.example/devstack/kafkatest"
	"waybill.example/sdk/inbox"
)

// errors that a handler's database may answer
var (
	errLocked   = errors.New("lock timeout")
	errTrigger  = errors.New("audit log full")
	errConflict = errors.New("could not serialize access")
)

func classify(err error) fault.Fault {
	switch {
	case errors.Is(err, errUnavailable):
		return fault.Fault{Kind: fault.Outage, Reason: "database_unavailable"}
	case errors.Is(err, errLocked):
		return fault.Fault{Kind: fault.Statement, Reason: "lock", Code: "55P03", Alike: "lock"}
	case errors.Is(err, errTrigger):
		return fault.Fault{Kind: fault.Statement, Reason: "raised_exception", Code: "P0001", Alike: "P0001"}
	case errors.Is(err, errConflict):
		return fault.Fault{Kind: fault.Conflict, Reason: "conflict", Code: "40001", Alike: "40001", Attempts: 8}
	}
	return fault.OfMessage(err.Error())
}

// sequences puts count messages of each key on the topic: a0, b0, …, a1, b1, ….
func sequences(t *testing.T, b *kafkatest.Broker, count int, keys ...string) {
	t.Helper()
	var records []kafkatest.Record
	for i := range count {
		for _, key := range keys {
			records = append(records, kafkatest.Record{
				Topic: "topic", Key: []byte(key), Value: []byte(key + strconv.Itoa(i)), Headers: map[string]string{"ce_type": "T"},
			})
		}
	}
	b.Produce(t, records...)
}

// of returns what was applied of a key, in order.
func (l *ledger) of(key string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var values []string
	for _, m := range l.messages {
		if string(m.Key) == key {
			values = append(values, string(m.Value))
		}
	}
	return values
}

func refusing(key string, err error) func(inbox.Delivery) error {
	return func(m inbox.Delivery) error {
		if string(m.Key) == key {
			return err
		}
		return nil
	}
}

func counted(key string, n int) (values []string) {
	for i := range n {
		values = append(values, key+strconv.Itoa(i))
	}
	return values
}

// A lock on one row holds the messages that need the row, and those of the same keys behind them.
// The partition's other keys go on, and nothing is committed beyond what waits.
func TestConsumer_AMessageThatHasToWaitHoldsItsOwnKeyOnly(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t)
	b.CreateTopics(t, 1, "topic")
	l := newLedger()
	l.refuse = refusing("b", errLocked)
	sequences(t, b, 20, "a", "b", "c")
	stop := consume(t, b.Addr(), l)
	l.await(t, "the other keys", func(l *ledger) bool { return len(l.applied) >= 40 })
	require.Equal(t, counted("a", 20), l.of("a"))
	require.Equal(t, counted("c", 20), l.of("c"))
	require.Empty(t, l.of("b"))
	l.mu.Lock()
	for _, m := range l.messages {
		require.LessOrEqual(t, m.Resume, int64(1), "offset 1 is b's first")
	}
	require.Empty(t, l.rejected)
	l.mu.Unlock()

	// A member that comes after it reads again what waited.
	stop()
	require.LessOrEqual(t, b.Committed(t, "group", "topic")[0], int64(1))
	l.set(func(l *ledger) { l.refuse = nil })
	consume(t, b.Addr(), l)
	l.await(t, "what waited", func(l *ledger) bool { return len(l.distinct()) == 60 })
	require.Equal(t, counted("b", 20), l.of("b"))
}

func TestConsumer_WhatWaitedGoesOnInOrderOnceItCan(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t)
	b.CreateTopics(t, 1, "topic")
	l := newLedger()
	l.refuse = refusing("b", errLocked)
	sequences(t, b, 20, "a", "b", "c")
	stop := consume(t, b.Addr(), l)
	l.await(t, "the other keys", func(l *ledger) bool { return len(l.applied) >= 40 })
	l.set(func(l *ledger) { l.refuse = nil })
	l.await(t, "all", func(l *ledger) bool { return len(l.applied) >= 60 })
	stop()
	require.Equal(t, counted("b", 20), l.of("b"))
	require.Equal(t, int64(60), b.Committed(t, "group", "topic")[0])
	require.Equal(t, int64(60), l.messages[len(l.messages)-1].Resume)
}

// Each message fails with what no message brings about. However long it lasts, none is set aside.
func TestConsumer_SetsNothingAsideWhileEveryMessageFailsAlike(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"trigger": errTrigger, "constraint": errors.New("violates a check")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := kafkatest.Start(t, "topic")
			l := newLedger()
			l.refuse = func(inbox.Delivery) error { return err }
			keys := strings.Split("abcdefghijklmnopqrstuvwxyz", "")
			sequences(t, b, 10, keys...)
			consume(t, b.Addr(), l)
			calls := 0
			l.await(t, "more attempts than one message is granted", func(l *ledger) bool { calls = l.calls; return l.calls > 20 })
			l.set(func(l *ledger) { l.refuse = nil })
			l.await(t, "all", func(l *ledger) bool { return len(l.distinct()) == 260 })
			require.Empty(t, l.rejected)
			for _, key := range keys {
				require.Equal(t, counted(key, 10), l.of(key))
			}
			require.Less(t, calls, 600, "a message must not be tried again and again while its kind is suspended")
		})
	}
}

func TestConsumer_AConflictThatRepeatsIsTheMessagesOwnFault(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t)
	b.CreateTopics(t, 1, "topic")
	l := newLedger()
	l.refuse = refusing("b", errConflict)
	sequences(t, b, 3, "a", "b", "c")
	consume(t, b.Addr(), l)
	l.await(t, "the others applied, its own rejected", func(l *ledger) bool { return len(l.applied) == 6 && len(l.rejected) == 3 })
	require.Contains(t, l.rejected[0], errConflict.Error())
}

// Two consumers meet at a row: the second try succeeds, and nobody had to pause for it.
func TestConsumer_AConflictIsTriedAgainAtOnce(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	l := newLedger()
	var once sync.Once
	l.refuse = func(inbox.Delivery) (err error) {
		once.Do(func() { err = errConflict })
		return err
	}
	sequences(t, b, 5, "a", "b", "c")
	consume(t, b.Addr(), l)
	l.await(t, "all", func(l *ledger) bool { return len(l.applied) >= 15 })
	require.LessOrEqual(t, l.calls-len(l.batches), 1)
}

func TestConsumer_APanicIsAnErrorOfItsMessage(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t)
	b.CreateTopics(t, 1, "topic")
	l := newLedger()
	l.refuse = func(m inbox.Delivery) error {
		if string(m.Value) == "b1" {
			panic("a nil map")
		}
		return nil
	}
	sequences(t, b, 3, "a", "b", "c")
	consume(t, b.Addr(), l)
	l.await(t, "the others", func(l *ledger) bool { return len(l.applied) == 8 && len(l.rejected) == 1 })
	require.Contains(t, l.rejected[0], "b1: the handler panicked: a nil map")
	require.Equal(t, []string{"b0", "b2"}, l.of("b"))
}

// While much is held of a partition it is not read on; the other partitions are.
func TestConsumer_HoldsABoundedNumberOfMessages(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t)
	b.CreateTopics(t, 2, "topic")
	l := newLedger()
	l.refuse = refusing("b", errLocked)
	consume(t, b.Addr(), l)
	sequences(t, b, 3000, "b")
	l.await(t, "a refusal", func(l *ledger) bool { return l.calls > 0 })
	free := map[int32]string{}
	for i := range 100 {
		key := fmt.Sprintf("k%d", i)
		b.Produce(t, kafkatest.Record{Topic: "topic", Key: []byte(key), Value: []byte(key + "0")})
		free[int32(i)] = key
	}
	l.await(t, "keys of the other partition", func(l *ledger) bool { return len(l.applied) > 10 })
	l.set(func(l *ledger) { l.refuse = nil })
	l.await(t, "everything", func(l *ledger) bool { return len(l.distinct()) == 3100 })
	require.Equal(t, counted("b", 3000), l.of("b"))
}

func TestConsumer_WhatIsHeldMovesWithItsPartition(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	first, second := newLedger(), newLedger()
	first.refuse = func(inbox.Delivery) error { return errLocked }
	sequences(t, b, 5, "a", "b", "c", "d", "e", "f")
	stop := consume(t, b.Addr(), first)
	first.await(t, "attempts", func(l *ledger) bool { return l.calls > 6 })
	consume(t, b.Addr(), second)
	second.await(t, "its share", func(l *ledger) bool { return len(l.applied) > 0 })
	stop()
	second.await(t, "all", func(l *ledger) bool { return len(l.distinct()) == 30 })
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		require.Equal(t, counted(key, 5), second.of(key))
	}
	require.Empty(t, first.applied)
}

func TestConsumer_AnAttemptThatFindsOutWhoWaitsFailsFast(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t)
	b.CreateTopics(t, 1, "topic")
	type failFast struct{}
	var mu sync.Mutex
	var long, short int
	handler := process(func(ctx context.Context, batch []inbox.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Value(failFast{}) == nil {
			long++
		} else {
			short++
		}
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > time.Minute {
			return errors.New("no deadline")
		}
		for _, m := range batch {
			if string(m.Key) == "b" {
				return errLocked
			}
		}
		return nil
	})
	sequences(t, b, 1, "a", "b", "c", "d", "e", "f", "g", "h")
	start(t, b.Addr(), handler, func(o *kafka.ConsumerOptions) {
		o.FailFast = func(ctx context.Context) context.Context { return context.WithValue(ctx, failFast{}, true) }
	})
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return short >= 7 && long >= 2 // a held message is given its time now and then
	}, waitTimeout, 10*time.Millisecond)
}

type process func(context.Context, []inbox.Delivery) error

func (p process) Process(ctx context.Context, batch []inbox.Delivery) error { return p(ctx, batch) }
func (process) Reject(context.Context, inbox.Delivery, error) error         { return nil }
