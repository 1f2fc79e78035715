package kafka_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"waybill.example/chassis/kafka"
	"waybill.example/devstack/kafkatest"
	"waybill.example/sdk/inbox"
)

// watched is a consumer whose log, metrics and readiness a test looks at.
type watched struct {
	*kafka.Consumer

	log     *safeBuffer
	metrics *prometheus.Registry
	ended   chan error
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), text)
}

func watch(t *testing.T, cfg kafka.Config, h kafka.Handler, with func(*kafka.ConsumerOptions)) *watched {
	t.Helper()
	w := &watched{log: &safeBuffer{}, metrics: prometheus.NewRegistry(), ended: make(chan error, 1)}
	o := kafka.ConsumerOptions{Group: "group", Topics: []string{"topic"}, Classify: classify}
	with(&o)
	var err error
	w.Consumer, err = kafka.NewConsumer(cfg, o, h,
		slog.New(slog.NewTextHandler(w.log, nil)), w.metrics)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() { defer close(done); w.ended <- w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// value returns a metric's value, by name and, if given, one label's value; -1 where there is none.
func (w *watched) value(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := w.metrics.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || hasLabel(m, label)) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

func hasLabel(m *dto.Metric, value string) bool {
	for _, l := range m.GetLabel() {
		if l.GetValue() == value {
			return true
		}
	}
	return false
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, waitTimeout, 10*time.Millisecond, what)
}

func TestConsumer_SaysWhatItWaitsForAndWhenThatIsOver(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t)
	b.CreateTopics(t, 1, "topic")
	l := newLedger()
	l.refuse = refusing("b", errLocked)
	sequences(t, b, 3, "a", "b", "c")
	w := watch(t, plaintext(b.Addr()), l, func(o *kafka.ConsumerOptions) {
		o.Blockers = func(context.Context) ([]string, error) { return []string{"pid 4711 (psql)"}, nil }
	})
	l.await(t, "the others", func(l *ledger) bool { return len(l.applied) >= 6 })
	eventually(t, "not ready", func() bool { return w.Ready(t.Context()) != nil })
	eventually(t, "one line", func() bool { return w.log.count("consumer is blocked") == 1 })
	require.Regexp(t, `^blocked for \d+ s: lock \(SQLSTATE 55P03\), 3 messages wait, the first is topic/0 offset 1`, w.Ready(t.Context()).Error())
	require.Positive(t, w.value(t, "waybill_consumer_blocked_seconds", "lock"))
	require.InDelta(t, 3, w.value(t, "waybill_consumer_held_messages", "lock"), 0)
	require.InDelta(t, 1, w.value(t, "waybill_consumer_partitions", ""), 0)
	require.InDelta(t, 1, w.value(t, "waybill_consumer_up", ""), 0)
	eventually(t, "lag", func() bool { return w.value(t, "waybill_consumer_lag_messages", "topic") == 8 })

	l.set(func(l *ledger) { l.refuse = nil })
	eventually(t, "ready again", func() bool { return w.Ready(t.Context()) == nil })
	eventually(t, "one line", func() bool { return w.log.count("consumer is no longer blocked") == 1 })
	require.InDelta(t, -1, w.value(t, "waybill_consumer_blocked_seconds", "lock"), 0)
	eventually(t, "no lag", func() bool { return w.value(t, "waybill_consumer_lag_messages", "topic") == 0 })
	require.Equal(t, 1, w.log.count("consumer is blocked"))
}

// The lock's holder is looked for while an attempt waits for it, not after.
func TestConsumer_NamesWhoHoldsTheLock(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	sequences(t, b, 1, "a")
	waits := process(func(ctx context.Context, _ []inbox.Delivery) error {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second): // the database's lock_timeout
		}
		return errLocked
	})
	w := watch(t, plaintext(b.Addr()), waits, func(o *kafka.ConsumerOptions) {
		o.Blockers = func(context.Context) ([]string, error) { return []string{"pid 4711 (psql), active"}, nil }
	})
	eventually(t, "the holder", func() bool {
		err := w.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "held by pid 4711 (psql), active")
	})
	// Also once the first attempt is over, of which readiness speaks before.
	eventually(t, "a metric that names it", func() bool { return w.value(t, "waybill_consumer_blocked_by", "pid 4711 (psql)") == 1 })
	eventually(t, "a line that names it", func() bool { return w.log.count(`blocked_by="pid 4711 (psql), active"`) > 0 })
}

// The holder is reported while the first attempt still waits, and no longer once it has its lock.
func TestConsumer_NamesWhoHoldsTheLockWhileTheFirstAttemptWaits(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	sequences(t, b, 1, "a")
	released := make(chan struct{})
	waits := process(func(ctx context.Context, _ []inbox.Delivery) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-released:
			return nil
		}
	})
	w := watch(t, plaintext(b.Addr()), waits, func(o *kafka.ConsumerOptions) {
		o.Blockers = func(context.Context) ([]string, error) { return []string{"pid 4711 (psql), active"}, nil }
	})
	eventually(t, "the holder", func() bool {
		err := w.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "for a lock, held by pid 4711 (psql), active")
	})
	close(released)
	eventually(t, "ready again", func() bool { return w.Ready(t.Context()) == nil })
	require.Zero(t, w.log.count("consumer is blocked"))
}

func TestConsumer_AnOutageIsOneLineAndNotReady(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	l := newLedger()
	l.unavailable = true
	sequences(t, b, 3, "a", "b", "c")
	w := watch(t, plaintext(b.Addr()), l, func(*kafka.ConsumerOptions) {})
	eventually(t, "not ready", func() bool { return w.Ready(t.Context()) != nil && w.log.count("consumer is blocked") == 1 })
	require.Contains(t, w.Ready(t.Context()).Error(), "database_unavailable")
	l.set(func(l *ledger) { l.unavailable = false })
	eventually(t, "ready again", func() bool { return w.Ready(t.Context()) == nil })
	require.Equal(t, 1, w.log.count("consumer is blocked"))
}

// A process whose place in the group another one took reads nothing any more. It must not stay.
func TestConsumer_ThatWasFencedEndsAndSaysWhy(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	cfg := plaintext(b.Addr())
	cfg.Properties = []string{"group.instance.id=one"}
	first := watch(t, cfg, newLedger(), func(*kafka.ConsumerOptions) {})
	eventually(t, "partitions", func() bool { return first.value(t, "waybill_consumer_partitions", "") == 3 })
	watch(t, cfg, newLedger(), func(*kafka.ConsumerOptions) {})
	select {
	case err := <-first.ended:
		require.ErrorContains(t, err, "another process has the same group.instance.id")
	case <-time.After(waitTimeout):
		require.Fail(t, "the fenced consumer goes on")
	}
	require.ErrorContains(t, first.Ready(t.Context()), "the consumer has ended")
	require.Error(t, first.Check(t.Context()))
	require.InDelta(t, 0, first.value(t, "waybill_consumer_up", ""), 0)
}

// A producer that died in the middle of a transaction holds back what comes after it, for those who
// read committed records only.
func TestConsumer_ReadsBehindAStrangersOpenTransaction(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t)
	b.CreateTopics(t, 1, "topic")
	stranger, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.TransactionalID("stranger"))
	require.NoError(t, err)
	defer stranger.Close()
	require.NoError(t, stranger.BeginTransaction())
	require.NoError(t, stranger.ProduceSync(t.Context(), &kgo.Record{Topic: "topic", Value: []byte("?")}).FirstErr())
	sequences(t, b, 1, "a")
	l := newLedger()
	consume(t, b.Addr(), l)
	l.await(t, "ours", func(l *ledger) bool { return len(l.applied) == 2 })
	require.Equal(t, []string{"a0"}, l.of("a"))
}
