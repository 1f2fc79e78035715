package pgtest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func count(t *testing.T, pool *pgxpool.Pool, sql string) int {
	t.Helper()
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), sql).Scan(&n))
	return n
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	one, other := pgtest.New(t, migrations.Outbox), pgtest.New(t, migrations.Outbox)
	require.NotEqual(t, one.URL, other.URL)
	for _, db := range []*pgtest.Database{one, other} {
		_, err := db.Pool.Exec(t.Context(), "create table mine ()")
		require.NoError(t, err)
	}
}

func TestNewAppliesTheNamedSetsOnly(t *testing.T) {
	t.Parallel()
	const outboxes = "select count(*) from pg_tables where tablename = 'outbox'"
	require.Equal(t, 1, count(t, pgtest.New(t, migrations.Outbox).Pool, outboxes))
	require.Equal(t, 0, count(t, pgtest.New(t).Pool, outboxes))
}

func TestDatabaseIsDroppedWhenItsTestEnds(t *testing.T) {
	t.Parallel()
	watch := pgtest.New(t)
	const mine = "select count(*) from pg_stat_database where datname = $1"
	exists := func(name string) (n int) {
		require.NoError(t, watch.Pool.QueryRow(context.Background(), mine, name).Scan(&n))
		return n
	}
	var name string
	t.Run("uses a database", func(t *testing.T) {
		name = pgtest.New(t).Pool.Config().ConnConfig.Database
		require.Equal(t, 1, exists(name))
	})
	require.Equal(t, 0, exists(name))
}

func TestPrivateServerComesBackWithItsData(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	db := server.New(t, migrations.Outbox)
	add := func() {
		_, err := db.Pool.Exec(t.Context(), "insert into inbox (event_id, consumer, topic, partition, \"offset\") values (gen_random_uuid(), 'c', 't', 0, 0)")
		require.NoError(t, err)
	}
	add()

	require.NoError(t, server.Stop())
	require.Error(t, db.Pool.Ping(t.Context()), "the server is down")
	require.NoError(t, server.Start(t.Context()))
	db.Pool.Reset()
	require.Equal(t, 1, count(t, db.Pool, "select count(*) from inbox"))

	add()
	server.Kill()
	require.NoError(t, server.Start(t.Context()))
	db.Pool.Reset()
	require.Equal(t, 2, count(t, db.Pool, "select count(*) from inbox"))
}

func BenchmarkNew(b *testing.B) {
	pgtest.New(b, migrations.Outbox)
	for b.Loop() {
		pgtest.New(b, migrations.Outbox)
	}
}
