package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/fault"
	"waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
)

// A standby is promoted, and then the old primary is started again as it was, which takes writes
// and comes first in the URL. Who knows the new one does not go back.
func TestFence_NoSessionIsWithAPrimaryThatWasReplaced(t *testing.T) {
	t.Parallel()
	servers := pgtest.NewReplicated(t)
	db := servers.New(t)
	_, err := db.Pool.Exec(t.Context(), `create table things (id int)`)
	require.NoError(t, err)
	require.NoError(t, servers.Standby.CaughtUp(t.Context()))
	pool := open(t, db)
	insert := func() error {
		_, err := pool.Exec(t.Context(), `insert into things values (1)`)
		return err
	}
	require.NoError(t, insert())
	servers.FailOver(t)
	require.Eventually(t, func() bool { return insert() == nil }, patience, 10*time.Millisecond)

	require.NoError(t, servers.Start(t.Context()))
	for range 3 { // sessions that begin now
		pool.Reset()
		require.NoError(t, insert())
		require.Equal(t, int64(2), timeline(t, pool))
	}
	old, err := pgxpool.New(t.Context(), servers.URL(db.Pool.Config().ConnConfig.Database))
	require.NoError(t, err)
	defer old.Close()
	require.Equal(t, int64(1), timeline(t, old), "the old primary takes writes, and the test could fail")
	var things int
	require.NoError(t, old.QueryRow(t.Context(), `select count(*) from things`).Scan(&things))
	require.Equal(t, 1, things)

	// With the new one down, waiting is better.
	servers.Standby.Kill()
	require.Eventually(t, func() bool {
		err = insert()
		return postgres.Classify(err).Reason == "database_read_only"
	}, patience, 10*time.Millisecond, "%v", err)
	require.EqualError(t, postgres.Check(pool)(t.Context()), postgres.ErrReplaced.Error())
}

// A primary is cut off and not dead, and its standby promoted: sessions with it are still there
// when the first one with the new one begins.
func TestFence_SessionsWithTheOldPrimaryEndWhenAnotherIsFound(t *testing.T) {
	t.Parallel()
	servers := pgtest.NewReplicated(t)
	db := servers.New(t)
	require.NoError(t, servers.Standby.CaughtUp(t.Context()))
	pool := open(t, db)
	var held []*pgxpool.Conn
	for range 3 {
		conn, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		held = append(held, conn)
	}
	servers.Process().Freeze()
	defer servers.Process().Thaw()
	require.NoError(t, servers.Standby.Promote(t.Context()))
	require.Eventually(t, func() bool {
		conn, err := pool.Acquire(t.Context()) // a new one, as the others are in use
		if err == nil {
			conn.Release()
		}
		return err == nil
	}, patience, 10*time.Millisecond)
	servers.Process().Thaw()
	for _, conn := range held {
		conn.Release()
	}
	for range 5 {
		require.Equal(t, int64(2), timeline(t, pool))
	}
}

func TestOpen_AStandbyIsNotUsed(t *testing.T) {
	t.Parallel()
	servers := pgtest.NewReplicated(t)
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: config.Secret(servers.Standby.URL("postgres"))}, "test")
	require.NoError(t, err)
	defer pool.Close()
	_, err = pool.Exec(t.Context(), `select 1`)
	require.ErrorIs(t, err, postgres.ErrStandby)
	require.Equal(t, fault.Fault{Kind: fault.Outage, Reason: "database_read_only"}, postgres.Classify(err))
	require.EqualError(t, postgres.Check(pool)(t.Context()), "the database is read-only")
	require.NoError(t, servers.Standby.Promote(t.Context()))
	_, err = pool.Exec(context.WithoutCancel(t.Context()), `select 1`)
	require.NoError(t, err)
}

func timeline(t *testing.T, pool *pgxpool.Pool) (n int64) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), `select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint`).Scan(&n))
	return n
}
