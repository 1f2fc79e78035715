package relay_test

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

// A batch job beside other writers, or anything else that is open for long and writes to the
// outbox, leaves a gap with each rollback and each of its rows. They cost those who go on next to
// nothing, and close when it ends.
func TestRelay_TensOfThousandsOfGapsSlowNothingDown(t *testing.T) {
	t.Parallel()
	gaps := 20_000
	if n, err := strconv.Atoi(os.Getenv("GAPS")); err == nil {
		gaps = n
	}
	s := newStage(t)
	job, err := s.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = job.Exec(t.Context(), insertSQL, topic, "job", []byte("1"))
	require.NoError(t, err)
	s.exec(t, `insert into outbox (id, topic, key, type, payload) overriding system value
		select (select max(nextval('outbox_id_seq')) from generate_series(1, 2) where i > 0), $1, 'k1', 'Counted', convert_to(i::text, 'utf8')
		  from generate_series(1, $2::int) i`, topic, gaps)
	r := s.relay(t, relay.Options{Fallback: 50 * time.Millisecond, Backlog: 100 * time.Millisecond})
	await(t, func() bool {
		return one[bool](t, s, `select coalesce(upper(published) > (select max(id) from outbox), false) from outbox_cursor`)
	}, "all rows that are there to be published")
	outlast(t)
	require.EqualValues(t, gaps, one[int64](t, s, `select count(*) from unnest((select int8multirange(int8range(1, upper(published))) - published from outbox_cursor))`))

	d := s.ops(t)
	began := time.Now()
	overview, err := d.Overview(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, gaps, overview.Gaps)
	t.Log("overview", time.Since(began))
	began = time.Now()
	pending, err := d.Pending(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, pending)
	t.Log("pending", time.Since(began))
	session, err := source.Connect(t.Context(), "orders", s.db.URL)
	require.NoError(t, err)
	defer session.Close(t.Context())
	began = time.Now()
	_, err = session.Backlog(t.Context())
	require.NoError(t, err)
	t.Log("backlog", time.Since(began))

	wal := func() int64 {
		return one[int64](t, s, `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`)
	}
	before := wal()
	s.broker.CreateTopics(t, 3, "fresh.v1")
	var took []time.Duration
	for i := range 20 {
		began = time.Now()
		s.exec(t, insertSQL, "fresh.v1", "k2", []byte("x"))
		s.broker.Consume(t, "fresh.v1", i+1)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("fastest of 20 rows: %v, slowest: %v, their WAL: %d kB", took[0], took[19], (wal()-before)>>10)
	require.Less(t, took[10], 5*time.Second, "a machine with much else to do may be slow now and then")

	require.Equal(t, relay.Leading, r.Status().State)
	_, err = job.Exec(t.Context(), `insert into outbox (id, topic, key, type, payload) overriding system value
		select id, $1, 'batch', 'Counted', convert_to(row_number() over (order by id)::text, 'utf8')
		  from generate_series(1, 2 * $2::bigint) as n (id) where not exists (select from outbox o where o.id = n.id) order by id limit $2::bigint / 2`, topic, gaps)
	require.NoError(t, err)
	began = time.Now()
	require.NoError(t, job.Commit(t.Context()))
	await(t, func() bool {
		return one[int64](t, s, `select count(*) from outbox_status where key = 'job' and status = 'published'`) == 1
	}, "the job's row")
	t.Log("job's row after its commit", time.Since(began))
	s.drained(t)
	t.Log("settled", time.Since(began))
	values := s.values(t, gaps+1+gaps/2)
	require.Len(t, values, 3)
	requireCounted(t, map[string][]string{"batch": values["batch"]}, 1, gaps/2)
}
