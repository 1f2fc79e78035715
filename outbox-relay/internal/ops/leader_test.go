package ops_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/outbox-relay/internal/source"
)

// The cursor names who led last. Operators ask who leads now: nobody, once that relay is dead, or
// while a session that is no relay has its lock.
func TestOverview_NamesALeaderOnlyWhileARelayLeads(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	_, err := db.Pool.Exec(t.Context(), `update outbox_cursor set leader = 'relay-1', led_since = now()`)
	require.NoError(t, err)
	d, err := ops.Open("orders", db.URL)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	leads := func(want string) {
		t.Helper()
		o, err := d.Overview(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, o.Leader)
		require.Equal(t, want == "", o.LedSince == nil)
	}
	leads("")

	session, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer func() { _ = session.Conn().Close(context.WithoutCancel(t.Context())); session.Release() }()
	_, err = session.Exec(t.Context(), `select pg_advisory_lock($1)`, int64(source.LeaderLock))
	require.NoError(t, err)
	leads("")
	_, err = session.Exec(t.Context(), `set application_name = 'outbox-relay'`)
	require.NoError(t, err)
	leads("relay-1")
}
