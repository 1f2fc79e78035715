package runner_test

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// Sagas as they look after a busy day: one in 20 is cancelled, one in a thousand is open, and of
// those one in ten is asked again; every step has a state.
const seedSQL = `
insert into sagas (id, definition, version, phase, state, step, attempt, deadline, wake_at, reason, revision, stale, stage, steps, data, started_at, updated_at, ended_at, trouble)
select n::text, 'order', 1,
       case when n % 1000 = 0 then 'RUNNING' when n % 20 = 1 then 'CANCELLED' else 'COMPLETED' end,
       case when n % 1000 = 0 then 'RUNNING' when n % 20 = 1 then 'CANCELLED' else 'CONFIRMED' end,
       case when n % 1000 = 0 then 'reserve' else '' end,
       case when n % 1000 <> 0 then 0 when n % 10000 = 0 then 2 else 1 end,
       case when n % 1000 = 0 then $2::timestamptz + make_interval(secs => n % 7) end,
       case when n % 1000 = 0 then $2::timestamptz + make_interval(secs => n % 7 - n / 1000 % 2) end, '', 3, 0, 1,
       '[{"status":"done"},{"status":"done","attempt":1},{"status":"done","attempt":1}]',
       '{"orderId":1,"userId":"u","sku":"burger","quantity":2}',
       $2::timestamptz - make_interval(secs => ($1 - n) * 0.01), $2, case when n % 1000 <> 0 then $2::timestamptz end,
       case when n % 100000 = 0 then 'an undo has used up its attempts' end
  from generate_series(1, $1) as n`

// A page of the list, and one saga, take no longer with many sagas than with few: no plan reads the
// whole table. With WAYBILL_TEST_SAGAS=1000000 the times are held, too.
func TestPages_ReadABoundedPartOfTheTable(t *testing.T) {
	t.Parallel()
	count, large := 100_000, false
	if n, err := strconv.Atoi(os.Getenv("WAYBILL_TEST_SAGAS")); err == nil {
		count, large = n, true
	}
	db := newDB(t)
	_, err := db.Pool.Exec(t.Context(), seedSQL, count, start)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "vacuum analyze sagas")
	require.NoError(t, err)
	pool, plan := explained(t, db.URL)
	s := inspect.New(pool, newSagas(t, db).Runner.Registry())
	middle := inspect.Cursor{StartedAt: start.Add(-time.Duration(count/2) * 10 * time.Millisecond), ID: "1", Definition: "order"}

	for name, f := range map[string]inspect.Filter{
		"all": {}, "confirmed": {State: "CONFIRMED"}, "cancelled": {State: "CANCELLED"}, "no such state": {State: "NOT_STARTED"},
		"no such definition": {Definition: "trip"}, "another version": {Definition: "order", Version: 7},
		"running": {State: "RUNNING"}, "compensating": {State: "COMPENSATING"}, "step": {Step: "reserve"}, "no such step": {Step: "confirm"},
		"attempt 2": {Attempt: 2}, "attempt 3": {Attempt: 3}, "overdue": {Overdue: true}, "stuck": {Stuck: true},
		"older": {OlderThan: time.Hour}, "older, cancelled": {OlderThan: time.Hour, State: "CANCELLED"},
		"deep": {After: middle}, "deep, cancelled": {After: middle, State: "CANCELLED"},
	} {
		f.Limit = 50
		took := fastest(func() {
			_, err := s.Page(t.Context(), f, start.Add(3*time.Second))
			require.NoError(t, err, name)
		})
		t.Logf("%d sagas, %-18s %s", count, name, took)
		require.NotContains(t, plan(), "Seq Scan on sagas", name)
		require.True(t, !large || took < 100*time.Millisecond, "%s took %s", name, took)
	}
	took := fastest(func() {
		_, _, err := s.Get(t.Context(), saga.Ref{ID: strconv.Itoa(count / 2)})
		require.NoError(t, err)
	})
	t.Logf("%d sagas, one: %s", count, took)
	require.NotContains(t, plan(), "Seq Scan on sagas")
	require.True(t, !large || took < 100*time.Millisecond, "one saga took %s", took)
}

// What is left of each version is counted by two indexes, however many sagas are kept.
func TestVersions_AreCountedByIndexes(t *testing.T) {
	t.Parallel()
	count := 100_000
	if n, err := strconv.Atoi(os.Getenv("WAYBILL_TEST_SAGAS")); err == nil {
		count = n
	}
	db := newDB(t)
	sagas := newSagas(t, db)
	_, err := db.Pool.Exec(t.Context(), seedSQL, count, start)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "insert into saga_definitions (name, version, fingerprint) values ('order', 1, ''), ('order', 2, ''), ('order', 7, '') on conflict do nothing")
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "update sagas set version = 2 where id = '3'")
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "vacuum analyze sagas")
	require.NoError(t, err)
	pool, plan := explained(t, db.URL)
	_, err = pool.Exec(t.Context(), "set enable_seqscan = off; set jit = off") // as the services' sessions have it
	require.NoError(t, err)
	s := inspect.New(pool, sagas.Runner.Registry())
	took := fastest(func() {
		found, err := s.Versions(t.Context())
		require.NoError(t, err)
		ended := map[int]int64{}
		for _, v := range found {
			if v.Definition == "order" {
				ended[v.Version] = v.Ended
				require.Equal(t, v.Version == 7, v.Removable)
				require.Equal(t, v.Version == 1 && count > 11_000, v.More)
			}
		}
		require.Equal(t, map[int]int64{1: int64(min(10_000, count-count/1000-1)), 2: 1, 7: 0}, ended)
	})
	t.Logf("%d sagas: %s", count, took)
	text := plan()
	require.NotContains(t, text, "Seq Scan on sagas")
	require.Contains(t, text, "sagas_ended")
	require.Contains(t, text, "sagas_open")
	require.True(t, count < 1_000_000 || took < 100*time.Millisecond, "took %s", took)
}

// explained is a pool whose statements are explained as they are run: plan returns what was
// since the last call.
func explained(t *testing.T, url string) (_ *pgxpool.Pool, plan func() string) {
	config, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	var plans strings.Builder
	config.MaxConns = 1 // so that plans are written by one goroutine
	config.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { plans.WriteString(n.Message) }
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "load 'auto_explain'; set auto_explain.log_min_duration = 0; set client_min_messages = log")
		return err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool, func() string {
		text := plans.String()
		plans.Reset()
		require.Contains(t, text, "Query Text", "plans are reported")
		return text
	}
}

// A page that ends since enough was looked at says where the next one goes on, and nothing is left
// out or repeated on the way.
func TestPages_GoOnWhereTheSearchEnded(t *testing.T) {
	t.Parallel()
	const count = 60_000
	db := newDB(t)
	s := newSagas(t, db)
	_, err := db.Pool.Exec(t.Context(), seedSQL, count, start)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "update sagas set definition = 'rare' where id in ('59999', '20001', '3')")
	require.NoError(t, err)
	var found []string
	pages := 0
	for f := (inspect.Filter{Definition: "rare", Limit: 2}); ; pages++ {
		page, err := s.Page(t.Context(), f, start)
		require.NoError(t, err)
		for _, one := range page.Sagas {
			found = append(found, one.ID)
		}
		if page.Next == nil {
			require.False(t, page.Searched)
			break
		}
		require.True(t, page.Searched)
		f.After = *page.Next
	}
	require.Equal(t, []string{"59999", "20001", "3"}, found)
	require.Equal(t, 2, pages)
}

// fastest is the time of the fastest of a few calls: how long it takes where nothing else runs.
func fastest(do func()) time.Duration {
	best := time.Hour
	for range 3 {
		began := time.Now()
		do()
		best = min(best, time.Since(began))
	}
	return best
}
