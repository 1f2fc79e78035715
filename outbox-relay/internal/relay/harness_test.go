package relay_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/outbox-relay/internal/relay"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	topic    = "orders.v1"
	patience = 4 * time.Minute        // what a test may wait that fails; a machine with much else to do is slow
	grace    = 300 * time.Millisecond // the least age of a gap that is given up
	// frozenAfter is when a leader is considered frozen that must not be. On a machine with much
	// else to do a whole process does nothing for a second, again and again.
	frozenAfter = 5 * time.Second
)

// stage is a database, a broker, and the relays that a test starts between them.
type stage struct {
	db     *pgtest.Database
	broker *kafkatest.Broker
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return &stage{db: pgtest.New(t, migrations.Outbox), broker: kafkatest.Start(t, topic)}
}

// running is a relay under test.
type running struct {
	*relay.Source
	metrics *prometheus.Registry
	stop    func()
}

// gauge returns a metric of the relay, and -1 where it has none of this name.
func (r running) gauge(t *testing.T, name string) float64 {
	t.Helper()
	families, err := r.metrics.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == "waybill_relay_"+name && len(family.GetMetric()) > 0 {
			m := family.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return -1
}

// relay starts a relay, with what it logs on the test's output.
func (s *stage) relay(t *testing.T, options relay.Options) running {
	t.Helper()
	return s.relayThrough(t, s.db.URL, options)
}

func (s *stage) relayThrough(t *testing.T, dsn string, options relay.Options) running {
	t.Helper()
	if options.GapGrace == 0 {
		options.GapGrace = grace
	}
	config := kafka.Config{Brokers: []string{s.broker.Addr()}, SecurityProtocol: "PLAINTEXT"}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug - 1}))
	registry := prometheus.NewRegistry()
	source := relay.NewSource("orders", dsn, t.Name(), config, options, relay.NewMetrics(registry), log)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // ends in the cleanup, which waits for it
	var done sync.WaitGroup
	done.Go(func() { _ = source.Run(ctx) })
	stop := sync.OnceFunc(func() { cancel(); done.Wait() })
	t.Cleanup(stop)
	return running{source, registry, stop}
}

func (s *stage) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := s.db.Pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func one[T any](t *testing.T, s *stage, sql string, args ...any) T {
	t.Helper()
	rows, err := s.db.Pool.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return value
}

const insertSQL = `insert into outbox (topic, key, type, payload) values ($1, $2, 'Counted', $3)`

// insert adds one row in a transaction of its own.
func (s *stage) insert(t *testing.T, key, value string) {
	t.Helper()
	s.exec(t, insertSQL, topic, key, []byte(value))
}

// insertMany adds rows 1 to n of each key, row i of every key before row i+1 of any.
func (s *stage) insertMany(t *testing.T, keys, n int) {
	t.Helper()
	s.exec(t, `insert into outbox (topic, key, type, payload)
		select $1, 'k' || k, 'Counted', convert_to(i::text, 'utf8') from generate_series(1, $3::int) i, generate_series(1, $2::int) k order by i, k`,
		topic, keys, n)
}

// values consumes n records and returns each key's values without the duplicates: of records with
// one event id the first counts.
func (s *stage) values(t *testing.T, n int) map[string][]string {
	t.Helper()
	return firsts(s.distinct(t, n))
}

// distinct waits until n different event ids are on the topic and returns all records there.
func (s *stage) distinct(t *testing.T, n int) []kafkatest.Record {
	t.Helper()
	var records []kafkatest.Record
	await(t, func() bool {
		records = s.broker.All(t, topic)
		return eventIDs(records) >= n
	}, "%d different messages on the topic", n)
	return records
}

func eventIDs(records []kafkatest.Record) int {
	seen := map[string]bool{}
	for _, r := range records {
		seen[r.Headers["ce_id"]] = true
	}
	return len(seen)
}

func firsts(records []kafkatest.Record) map[string][]string {
	slices.SortStableFunc(records, func(a, b kafkatest.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	seen, values := map[string]bool{}, map[string][]string{}
	for _, r := range records {
		if id := r.Headers["ce_id"]; !seen[id] {
			seen[id] = true
			values[string(r.Key)] = append(values[string(r.Key)], string(r.Value))
		}
	}
	return values
}

// requireCounted says that every key has the values 1 to n in order.
func requireCounted(t *testing.T, values map[string][]string, keys, n int) {
	t.Helper()
	require.Len(t, values, keys)
	want := make([]string, n)
	for i := range want {
		want[i] = strconv.Itoa(i + 1)
	}
	for key, got := range values {
		require.Equal(t, want, got, "order of key %s", key)
	}
}

// drained waits until the cursor has no gaps and ends behind the last id.
func (s *stage) drained(t *testing.T) {
	t.Helper()
	await(t, func() bool {
		return one[bool](t, s, `select published = coalesce(int8multirange(int8range(1, pg_sequence_last_value('outbox_id_seq') + 1)), '{}') from outbox_cursor`)
	}, "a cursor without gaps at the end of the table")
}

// await polls for a condition; the deadline is only for a test that fails.
func await(t *testing.T, condition func() bool, what string, args ...any) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		require.True(t, time.Now().Before(deadline), "waited in vain for %s", fmt.Sprintf(what, args...))
		<-time.After(5 * time.Millisecond)
	}
}

// outlast waits for several times as long as a gap has to be old, so that age alone would have
// closed it. That something does not happen cannot be awaited.
func outlast(t *testing.T) {
	t.Helper()
	<-time.After(4 * grace)
}
