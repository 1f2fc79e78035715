package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill/chassis/postgres"
	"waybill/devstack/pgtest"
	"waybill/migrations"
)

// A new system's first batch makes the plans that the next thousand use: one that reads a small table
// as a whole still does so when the table is large.
func TestABatchFindsItsRowsByIndexHoweverSmallTheTableWas(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	_, err := db.Pool.Exec(t.Context(), `
create table things (id text primary key, state int); insert into things select n, 0 from generate_series(1, 20) n; analyze things`)
	require.NoError(t, err)
	ids := []string{"1", "7", "19"}
	for _, sql := range []string{
		`select * from things where id = any($1) order by id for update`,
		`update things set state = 1 from unnest($1::text[]) as change (id) where things.id = change.id`,
	} {
		usual := plan(t, db.Pool.Begin, sql, ids)
		require.Contains(t, usual, "Seq Scan on things", "the test would prove nothing")
		batch := plan(t, postgres.ByIndex{Pool: db.Pool}.Begin, sql, ids)
		require.NotContains(t, batch, "Seq Scan on things")
		require.Contains(t, batch, "things_pkey")
	}
	require.NotContains(t, plan(t, postgres.ByIndex{Pool: db.Pool}.Begin, `select * from things where state = 1 and id <> all($1)`, ids), "JIT")
	require.Contains(t, plan(t, db.Pool.Begin, `select * from things where id = any($1)`, ids), "Seq Scan", "the setting outlived the transaction")
}

func plan(t *testing.T, begin func(context.Context) (pgx.Tx, error), sql string, ids []string) string {
	t.Helper()
	tx, err := begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
	rows, err := tx.Query(t.Context(), "explain "+sql, ids)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(lines, "\n")
}
