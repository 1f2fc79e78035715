package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func run(t *testing.T, c up) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, c.Run(t.Context(), &out))
	return out.String()
}

// A dry run prints a script that does what the real run does, and does nothing itself.
func TestUp_DryRunPrintsWhatWouldRun(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	c := up{
		database: database{URL: db.URL}, DryRun: true, Sets: []migrations.Set{migrations.Outbox, migrations.Orders},
		Grant: map[string][]migrations.Role{"orders_service": {migrations.Writer}},
	}
	for range 2 {
		script := run(t, c)
		require.Contains(t, script, "-- outbox/00001_outbox.sql\nbegin;\n")
		require.Contains(t, script, "-- orders/00001_orders.sql\n")
		require.Contains(t, script, `grant insert`)
		require.Contains(t, script, `to "orders_service"`)
		require.NotContains(t, script, "+goose")
	}
	c.Grant, c.DryRun = nil, false
	require.Regexp(t, `(?s)^to apply: outbox/00001_outbox.sql\n.*to apply: orders/.*applied outbox/00001_outbox.sql in`, run(t, c))
	c.DryRun = true
	require.Equal(t, "-- nothing to apply: the schema is up to date\n", run(t, c))
}

// psql stops at the first error of a script that it was passed; this one has none.
func TestUp_TheScriptOfADryRunRuns(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	script := run(t, up{database: database{URL: db.URL}, DryRun: true, Sets: []migrations.Set{migrations.Outbox}})
	_, err := db.Pool.Exec(t.Context(), script)
	require.NoError(t, err)
	var rows int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from outbox").Scan(&rows))
}
