package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/postgres"
	"waybill.example/devstack/tempdir"
	"waybill.example/migrations"
)

// Replicated is a primary and the standby that follows it, of one test's own.
type Replicated struct {
	*Server

	Standby *postgres.StandbyServer
}

// NewReplicated starts both; they end with the test. Starting takes some seconds.
func NewReplicated(t testing.TB) *Replicated {
	t.Helper()
	primary := Private(t)
	dir, remove, err := tempdir.Make("testdb")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, remove()) })
	standby, err := primary.StartStandby(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() {
		standby.Kill()
		require.NoError(t, standby.Remove())
	})
	return &Replicated{primary, standby}
}

// New makes a database, of which the URL has both hosts. The standby has it as well.
func (r *Replicated) New(t testing.TB, sets ...migrations.Set) *Database {
	t.Helper()
	db := r.Server.New(t, sets...)
	at, err := pgx.ParseConfig(r.Standby.URL("postgres"))
	require.NoError(t, err)
	both, err := postgres.BothHosts(db.URL, loopback.Addr(int(at.Port)))
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), both)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return &Database{URL: both, Pool: pool}
}

// StopStreaming has the standby lack what is committed from here on.
func (r *Replicated) StopStreaming(t testing.TB) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), r.Standby.URL("postgres"))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	require.NoError(t, postgres.StopStreaming(t.Context(), conn))
}

// FailOver kills the primary and promotes the standby.
func (r *Replicated) FailOver(t testing.TB) {
	t.Helper()
	r.Kill()
	require.NoError(t, r.Standby.Promote(t.Context()))
}
