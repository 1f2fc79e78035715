package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

// A new system's first batch makes the plans that the next thousand use: one that reads a small
// table as a whole still does so when the table is large.
func TestAServiceFindsItsRowsByIndexHoweverSmallTheTableWas(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	_, err := db.Pool.Exec(t.Context(), `
create table things (id text primary key, state int); insert into things select n, 0 from generate_series(1, 20) n; analyze things`)
	require.NoError(t, err)
	service, err := postgres.Open(t.Context(), postgres.Config{URL: config.Secret(db.Pool.Config().ConnString())}, "test")
	require.NoError(t, err)
	defer service.Close()
	ids := []string{"1", "7", "19"}
	for _, sql := range []string{
		`select * from things where id = any($1) order by id for update`,
		`update things set state = 1 from unnest($1::text[]) as change (id) where things.id = change.id`,
	} {
		require.Contains(t, plan(t, db.Pool, sql, ids), "Seq Scan on things", "the test would prove nothing")
		require.NotContains(t, plan(t, service, sql, ids), "Seq Scan on things")
		require.Contains(t, plan(t, service, sql, ids), "things_pkey")
	}
	require.NotContains(t, plan(t, service, `select * from things where state = 1 and id <> all($1)`, ids), "JIT")
}

func TestAServicePlansAStatementOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	_, err := db.Pool.Exec(t.Context(), `create table things (id text primary key, state int)`)
	require.NoError(t, err)
	const sql = `update things set state = 1 from unnest($1::text[]) as change (id) where things.id = change.id`
	const countSQL = `select custom_plans, generic_plans from pg_prepared_statements where statement = $1`
	service, err := postgres.Open(t.Context(), postgres.Config{URL: config.Secret(db.Pool.Config().ConnString())}, "test")
	require.NoError(t, err)
	defer service.Close()
	for pool, once := range map[*pgxpool.Pool]bool{db.Pool: false, service: true} {
		conn, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		defer conn.Release()
		for range 10 {
			_, err := conn.Exec(t.Context(), sql, []string{"1"})
			require.NoError(t, err)
		}
		var custom, generic int
		require.NoError(t, conn.QueryRow(t.Context(), countSQL, sql).Scan(&custom, &generic))
		require.Equal(t, once, custom == 0, "%d plans were made for values, %d were used again", custom, generic)
	}
}

func plan(t *testing.T, pool *pgxpool.Pool, sql string, ids []string) string {
	t.Helper()
	rows, err := pool.Query(t.Context(), "explain "+sql, ids)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(lines, "\n")
}
