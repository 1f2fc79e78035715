package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

// A session plans each statement once, most likely while the table is small: the plan has to be
// right for the table that it becomes.
func TestDeleteOlder_FindsRowsByTheirAgeHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox, migrations.Inventory)
	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	for _, sql := range []string{
		"set plan_cache_mode = force_generic_plan; set enable_seqscan = off", // as services do
		"prepare old as " + postgres.DeleteOlderSQL("stock_requests"),
		"execute old ('1 hour', 1000)",
		"insert into stock_requests (key, digest) select n::text, sha256('x') from generate_series(1, 20000) as n",
	} {
		_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err, sql)
	}
	rows, err := conn.Query(t.Context(), "explain execute old ('1 hour', 1000)", pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, strings.Join(plan, "\n"), "Tid Scan")
	require.Contains(t, strings.Join(plan, "\n"), "stock_requests_created_at")
}
