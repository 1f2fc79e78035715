package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill/chassis/postgres"
	"waybill/devstack/pgtest"
	"waybill/migrations"
)

// A new system's first batch makes the plans that the next thousand use: one that reads a small table
// as a whole still does so when the table is large.
func TestAServiceFindsItsRowsByIndexHoweverSmallTheTableWas(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	_, err := db.Pool.Exec(t.Context(), `
create table things (id text primary key, state int); insert into things select n, 0 from generate_series(1, 20) n; analyze things`)
	require.NoError(t, err)
	service, err := postgres.Open(t.Context(), postgres.Config{URL: db.Pool.Config().ConnString()}, "test")
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

func plan(t *testing.T, pool *pgxpool.Pool, sql string, ids []string) string {
	t.Helper()
	rows, err := pool.Query(t.Context(), "explain "+sql, ids)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(lines, "\n")
}
