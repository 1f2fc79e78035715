package relay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

// The database's clock is eight days ahead of what it was, and rows are kept for seven: those that
// were written before it jumped expire eight days later, not at once, and the same goes for the
// inbox and for gaps that were given up.
func TestRetention_GoesByAClockThatDoesNotJump(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 1, 10)
	s.exec(t, `update outbox set created_at = now() - interval '8 days'`)
	s.exec(t, rememberSQL, 10, "8 days")
	s.exec(t, `insert into outbox_closed (ids, closed_at) values ('{[100,200)}', now() - interval '8 days')`)
	s.exec(t, `update outbox_cursor set retention_clock = now() - interval '8 days'`)
	r := s.relay(t, relay.Options{Retention: 7 * 24 * time.Hour, InboxRetention: 7 * 24 * time.Hour, Expire: 10 * time.Millisecond, Fallback: 10 * time.Millisecond})
	s.drained(t)
	await(t, func() bool { return r.gauge(t, "retention_clock_behind_seconds") > 7*24*3600 }, "the relay to say that the clock has jumped")
	before := one[time.Time](t, s, `select retention_clock from outbox_cursor`)
	await(t, func() bool {
		return one[bool](t, s, `select retention_clock > $1::timestamptz + interval '1 second' from outbox_cursor`, before)
	}, "the clock to catch up")
	require.EqualValues(t, 10, one[int64](t, s, `select count(*) from outbox`))
	require.EqualValues(t, 10, one[int64](t, s, `select count(*) from inbox`))
	require.EqualValues(t, 1, one[int64](t, s, `select count(*) from outbox_closed where ids @> 100::bigint`))

	s.exec(t, `update outbox_cursor set retention_clock = now() - interval '59 minutes'`)
	await(t, func() bool { return one[int64](t, s, `select count(*) from outbox`) == 0 }, "old rows to go")
	await(t, func() bool { return r.gauge(t, "retention_clock_behind_seconds") == 0 }, "the clock to have caught up")
}

// A snapshot that is held for long keeps every version of the cursor row.
func TestVacuum_SaysWhoHoldsItBack(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	session, err := source.Connect(t.Context(), "orders", s.db.URL)
	require.NoError(t, err)
	defer session.Close(t.Context())
	var pid uint32
	tx, err := s.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `set transaction isolation level repeatable read`)
	require.NoError(t, err)
	require.NoError(t, tx.QueryRow(t.Context(), `select pg_backend_pid()`).Scan(&pid))
	for range 3 {
		s.insert(t, "k1", "1")
	}
	found, err := session.Vacuum(t.Context())
	require.NoError(t, err)
	require.Equal(t, "session", found.Kind)
	require.Contains(t, found.Name, fmt.Sprintf("pid %d ", pid))
	require.GreaterOrEqual(t, found.Transactions, int64(3))
	require.Positive(t, found.Held)

	r := s.relay(t, relay.Options{Backlog: 10 * time.Millisecond, Fallback: 10 * time.Millisecond})
	await(t, func() bool { return r.gauge(t, "oldest_xmin_seconds") > 0 }, "the relay to say so")
	require.Empty(t, r.Status().Vacuum, "it is not worth a word yet")
	require.NoError(t, tx.Rollback(t.Context()))
}
