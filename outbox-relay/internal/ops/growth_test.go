package ops_test

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/outbox-relay/internal/source"
	"waybill.example/sdk/saga/runner/inspect"
)

// Five rows of each key, ten rows per second, up to now.
const growSQL = `
insert into outbox (topic, key, type, payload, headers, created_at)
select 'orders.v1', (n / 5)::text, 'OrderCreated', convert_to(repeat('x', 250), 'UTF8'), '{"traceparent": "00-x"}', now() - ($1::int - n) * interval '100 ms'
from generate_series(1, $1::int) n`

// What was read of the table, by whichever way.
const readSQL = `
select seq_tup_read, (select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname = 'outbox')
from pg_stat_user_tables where relname = 'outbox'`

// What operators ask, retention and a replay by time read as many rows as they are about, however
// many there are. WAYBILL_TEST_OUTBOX_ROWS=10000000 holds their times, too.
func TestDatabase_ReadsABoundedPartOfALargeOutbox(t *testing.T) {
	t.Parallel()
	rows, large := 100_000, false
	if n, err := strconv.Atoi(os.Getenv("WAYBILL_TEST_OUTBOX_ROWS")); err == nil {
		rows, large = n, true
	}
	db := pgtest.New(t, migrations.Outbox)
	for _, sql := range []string{
		strings.ReplaceAll(growSQL, "$1", strconv.Itoa(rows)), "vacuum analyze outbox",
		"update outbox_cursor set published = int8multirange(int8range(1, (select max(id) + 1 from outbox)))",
	} {
		_, err := db.Pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	seen := func() (sequential, indexed int64) {
		require.NoError(t, db.Pool.QueryRow(t.Context(), readSQL).Scan(&sequential, &indexed))
		return sequential, indexed
	}
	db.Pool.Reset() // a session that ends has its reads counted
	var sequential, indexed int64
	require.Eventually(t, func() bool { sequential, indexed = seen(); return sequential+indexed > 0 }, time.Minute, 20*time.Millisecond)
	before := sequential

	d, err := ops.Open("orders", db.URL)
	require.NoError(t, err)
	s, err := source.Connect(t.Context(), "orders", db.URL)
	require.NoError(t, err)
	led, err := s.TryLead(t.Context())
	require.NoError(t, err)
	require.True(t, led)
	_, err = s.Begin(t.Context(), "test")
	require.NoError(t, err)
	since := time.Now().Add(-time.Duration(rows/2) * 100 * time.Millisecond)
	until := since.Add(time.Minute)
	minute := source.Selection{Since: &since, Until: &until}

	for _, op := range []struct {
		name string
		do   func(context.Context) (any, error)
	}{
		{"status", func(ctx context.Context) (any, error) { return d.Overview(ctx) }},
		{"pending rows", func(ctx context.Context) (any, error) { return d.Pending(ctx, 0, 100) }},
		{"one row", func(ctx context.Context) (any, error) { return d.Row(ctx, int64(rows/2)) }},
		{"messages of a key", func(ctx context.Context) (any, error) { return d.Messages(ctx, strconv.Itoa(rows/10), 100, true) }},
		{"explain", func(ctx context.Context) (any, error) { return inspect.Outbox(ctx, db.Pool, strconv.Itoa(rows/10)) }},
		{"plan of a replay by time", func(ctx context.Context) (any, error) { return d.PlanReplay(ctx, minute, nil, nil) }},
		{"replay by time", func(ctx context.Context) (any, error) {
			return nil, s.ReadReplay(ctx, source.Replay{Selection: minute}, 1000, source.NewBatch(1000))
		}},
		{"backlog", func(ctx context.Context) (any, error) { return s.Backlog(ctx) }},
		{"retention", func(ctx context.Context) (any, error) { return s.Expire(ctx, 0, 1000, since) }},
	} {
		began := time.Now()
		result, err := op.do(t.Context())
		took := time.Since(began)
		require.NoError(t, err, op.name)
		t.Logf("%d rows, %-26s %s", rows, op.name, took)
		require.True(t, !large || took < time.Second, "%s took %s", op.name, took)
		switch r := result.(type) {
		case ops.Plan:
			require.InDelta(t, 600, r.Rows, 5)
		case []inspect.OutboxRow:
			require.Len(t, r, 5)
		case source.Expired:
			require.EqualValues(t, 1000, r.Rows)
		}
	}
	d.Close()
	s.Close(t.Context())
	db.Pool.Reset()
	read := indexed
	require.Eventually(t, func() bool { sequential, indexed = seen(); return indexed > read+1000 }, time.Minute, 20*time.Millisecond)
	t.Logf("read %d rows by index", indexed-read)
	require.Equal(t, before, sequential, "the whole table was read")
	require.Less(t, indexed-read, int64(15_000))
}
