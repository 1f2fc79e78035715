package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

// asCommand has the test binary be the command.
const asCommand = "MIGRATE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	pgtest.Main(m)
}

// A script can tell what is wrong with its command line from what went wrong.
func TestMigrate_ExitsAsOtherCommandsDo(t *testing.T) {
	t.Parallel()
	for line, status := range map[string]int{
		"--version": 0, "grants --to a writer": 0,
		"up --database=x": 2, "up --nope": 2, "down --database=x outboks": 2, "": 2,
		"status --database=postgres://127.0.0.1:1/x outbox": 1, "grants --to a rely": 1,
	} {
		command := exec.CommandContext(t.Context(), os.Args[0], strings.Fields(line)...)
		command.Env = append(command.Environ(), asCommand+"=1", "DATABASE_URL=")
		out, _ := command.CombinedOutput() // what it exits with is looked at
		require.Equal(t, status, command.ProcessState.ExitCode(), "migrate %s: %s", line, out)
	}
}

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

// A name that is misspelt is refused before anything is done.
func TestCommandLine_RefusesSetsThatThereAreNot(t *testing.T) {
	t.Parallel()
	for fault, arguments := range map[string]string{
		`unknown migration set "shipping": the sets are outbox,`: "up --database=x shipping",
		`unknown migration set "outboks"`:                        "down --database=x outboks",
	} {
		_, err := kong.Must(new(cli), kong.Vars{"version": ""}).Parse(strings.Fields(arguments))
		require.ErrorContains(t, err, fault)
	}
}

func TestUp_AppliesNothingWhereARoleIsUnknown(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	c := up{
		database: database{URL: db.URL}, Sets: []migrations.Set{migrations.Outbox},
		Grant: map[string][]migrations.Role{"orders_relay": {migrations.Relay, "rely"}},
	}
	require.ErrorIs(t, c.Run(t.Context(), io.Discard), migrations.ErrUnknownRole)
	pending, err := migrations.Plan(t.Context(), db.URL, migrations.Outbox)
	require.NoError(t, err)
	require.NotEmpty(t, pending)
	require.Equal(t, "outbox/00001_outbox.sql", string(pending[0].Set)+"/"+pending[0].File)
}
