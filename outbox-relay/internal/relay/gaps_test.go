package relay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/relay"
)

// A rolled back transaction leaves ids that no row will ever have. They must not stay gaps forever.
func TestARolledBackTransactionLeavesNoHole(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tx, err := s.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), insertSQL, topic, "gone", []byte("x"))
	require.NoError(t, err)
	s.insert(t, "k1", "1")
	require.NoError(t, tx.Rollback(t.Context()))
	s.relay(t, relay.Options{})
	s.drained(t)
	requireCounted(t, s.values(t, 1), 1, 1)
	require.EqualValues(t, 1, one[int64](t, s, `select count(*) from outbox_closed`), "what was given up is remembered")
}

// Ids are handed out before commit. A transaction that commits after thousands of later rows were
// published must not be skipped, however long it was open.
func TestATransactionHeldOpenAcrossManyBatchesIsPublishedWhenItCommits(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.relay(t, relay.Options{BatchRows: 100, InFlightRows: 400})
	tx, err := s.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), insertSQL, topic, "late", []byte("1"))
	require.NoError(t, err)
	s.insertMany(t, 10, 300)
	requireCounted(t, s.values(t, 3000), 10, 300)
	published := func() string { return one[string](t, s, `select published::text from outbox_cursor`) }
	await(t, func() bool { return published() == "{[2,3002)}" }, "the cursor to have all but the late row")
	outlast(t)
	require.Equal(t, "{[2,3002)}", published())
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, []string{"1"}, s.values(t, 3001)["late"])
	s.drained(t)
	require.Zero(t, one[int64](t, s, `select count(*) from outbox_closed`))
}

// A prepared transaction belongs to no session and may commit days later.
func TestAPreparedTransactionIsPublishedWhenItCommits(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if one[string](t, s, `show max_prepared_transactions`) == "0" {
		t.Skip("the server allows no prepared transactions")
	}
	s.writersMayPrepare(t)
	s.relay(t, relay.Options{})
	await(t, func() bool { return one[bool](t, s, sleepsSQL) }, "the relay to sleep")
	name := fmt.Sprint("held_", time.Now().UnixNano())
	conn, err := s.db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	for _, sql := range []string{
		`begin`,
		`insert into outbox (topic, key, type, payload) values ('orders.v1', 'late', 'T', '1')`,
		`prepare transaction '` + name + `'`,
	} {
		_, err = conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	conn.Release()
	s.insertMany(t, 1, 3)
	requireCounted(t, s.values(t, 3), 1, 3)
	outlast(t)
	require.Zero(t, one[int64](t, s, `select count(*) from outbox_closed`))
	s.exec(t, `commit prepared '`+name+`'`)
	require.Equal(t, []string{"1"}, s.values(t, 4)["late"])
	s.drained(t)
}

// Between drawing its id and inserting its row a transaction may have no transaction id, so that no
// snapshot shows it. Here it waits in a trigger, before the row is written.
func TestASessionFrozenBetweenItsIDAndItsInsertIsPublished(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `create function hold() returns trigger language plpgsql as $$ begin
		if new.key = 'late' then perform pg_advisory_xact_lock(1); end if; return new; end $$`)
	s.exec(t, `create trigger hold before insert on outbox for each row execute function hold()`)
	holder, err := s.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), `select pg_advisory_xact_lock(1)`)
	require.NoError(t, err)

	s.insert(t, "k1", "1")
	inserted := s.freezeInsert(t)
	frozen := one[int64](t, s, `select last_value from outbox_id_seq`)
	s.relay(t, relay.Options{})
	s.insert(t, "k1", "2")
	s.insert(t, "k1", "3")
	requireCounted(t, s.values(t, 3), 1, 3)
	outlast(t)
	require.False(t, one[bool](t, s, `select exists (select from outbox_closed where ids @> $1::bigint)`, frozen))
	require.NoError(t, holder.Rollback(t.Context()))
	require.NoError(t, <-inserted)
	require.Equal(t, []string{"1"}, s.values(t, 4)["late"])
	s.drained(t)
}

// freezeInsert begins an insert that waits between its id and its row, and has no transaction id. A
// sequence writes to the log, and gives the transaction its id for that, once in 32 values and
// after every checkpoint: if one came in between, the insert begins again.
func (s *stage) freezeInsert(t *testing.T) <-chan error {
	t.Helper()
	const waitingSQL = `
select count(*) filter (where a.backend_xid is null), count(*)
  from pg_locks l
  join pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'advisory' and not l.granted and a.datname = current_database()`
	for {
		ctx, cancel := context.WithCancel(t.Context())
		inserted := make(chan error, 1)
		s.exec(t, `select nextval('outbox_id_seq')`)
		go func() {
			_, err := s.db.Pool.Exec(ctx, insertSQL, topic, "late", []byte("1"))
			inserted <- err
		}()
		var without, waiting int64
		await(t, func() bool {
			require.NoError(t, s.db.Pool.QueryRow(t.Context(), waitingSQL).Scan(&without, &waiting))
			return waiting == 1
		}, "the frozen insert")
		if without == 1 {
			t.Cleanup(cancel)
			return inserted
		}
		cancel()
		require.Error(t, <-inserted)
	}
}

// Two writers take turns on the same key while a third keeps every id between theirs uncommitted:
// rows that fill gaps and rows above the end must come out of one snapshot, or a later row of the
// key would overtake.
func TestLateRowsDoNotBreakTheOrderOfTheirKey(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.relay(t, relay.Options{BatchRows: 8, InFlightRows: 32})
	const rounds = 200
	for i := range rounds {
		held, err := s.db.Pool.Begin(t.Context())
		require.NoError(t, err)
		insert := func(tx pgx.Tx, key string, value int) {
			_, err := tx.Exec(t.Context(), insertSQL, topic, key, fmt.Append(nil, value))
			require.NoError(t, err)
		}
		insert(held, "k1", 2*i+1)
		s.insert(t, "k2", fmt.Sprint(2*i+1))
		s.insert(t, "k2", fmt.Sprint(2*i+2))
		require.NoError(t, held.Commit(t.Context()))
		s.insert(t, "k1", fmt.Sprint(2*i+2))
	}
	requireCounted(t, s.values(t, 4*rounds), 2, 2*rounds)
	s.drained(t)
}
