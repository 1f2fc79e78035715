package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
)

// elsewhere is a plan for a server that somebody else runs.
func elsewhere(server *pgtest.Server, prefix string) *plan {
	p := &plan{databaseURL: server.URL, external: true, prefix: prefix, databases: map[string]string{}}
	for _, name := range databaseNames {
		p.databases[name] = server.URL(prefix + name)
	}
	return p
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func tables(t *testing.T, url string) (names []string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1")
	require.NoError(t, err)
	names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

// "orders" is a likely name for a database of somebody else's. Nothing is installed beside their
// tables, and nothing is left behind in the attempt.
func TestPlan_ADatabaseOfSomebodyElsesIsRefusedWithTheWayOut(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	execute(t, server.URL("postgres"), "create database orders")
	execute(t, server.URL("orders"), "create table invoices (id int)")

	p := elsewhere(server, "")
	err := p.makeDatabases(t.Context())
	require.ErrorContains(t, err, `has a database "orders" that no devstack has made`)
	require.ErrorContains(t, err, "WAYBILL_DATABASE_PREFIX")
	require.Equal(t, []string{"invoices"}, tables(t, server.URL("orders")))
	_, err = pgx.Connect(t.Context(), server.URL("inventory"))
	require.ErrorContains(t, err, "does not exist", "nothing was changed")

	p = elsewhere(server, "waybill_")
	for range 2 { // what a stack has made it finds again
		require.NoError(t, p.makeDatabases(t.Context()))
		require.NoError(t, p.migrate(t.Context()))
	}
	require.Equal(t, []string{"invoices"}, tables(t, server.URL("orders")))
	require.Contains(t, tables(t, server.URL("waybill_orders")), "orders")
}

func TestPlan_TwoStacksDoNotShareTheirDatabases(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	first, err := elsewhere(server, "").lockDatabases(t.Context())
	require.NoError(t, err)
	_, err = elsewhere(server, "").lockDatabases(t.Context())
	require.ErrorContains(t, err, "another stack uses the databases")
	require.ErrorContains(t, err, "WAYBILL_DATABASE_PREFIX")
	other, err := elsewhere(server, "b_").lockDatabases(t.Context())
	require.NoError(t, err)
	require.NoError(t, other.Close())
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool {
		again, err := elsewhere(server, "").lockDatabases(t.Context())
		return err == nil && again.Close() == nil
	}, time.Minute, 10*time.Millisecond)
}

// Somebody who may not create databases is given empty ones.
func TestPlan_AnEmptyDatabaseIsTakenAndMarked(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	execute(t, server.URL("postgres"), "create database orders")
	p := elsewhere(server, "")
	for range 2 {
		require.NoError(t, p.makeDatabases(t.Context()))
		require.NoError(t, p.migrate(t.Context()))
	}
}

// The comment that the refusal proposes is the one that is looked for.
func TestPlan_TheWayOutOfTheRefusalWorks(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	execute(t, server.URL("postgres"), `create database "orders"`)
	execute(t, server.URL("orders"), "create table invoices (id int)")
	p := elsewhere(server, "")
	require.Error(t, p.makeDatabases(t.Context()))
	execute(t, server.URL("postgres"), markSQL("orders"))
	require.NoError(t, p.makeDatabases(t.Context()))
}

func TestWriteEnv_AShellReadsWhatTheCommandsNeed(t *testing.T) {
	for _, setting := range adminTokens {
		t.Setenv(setting, "")
	}
	dir := filepath.Join(t.TempDir(), "it's here")
	require.NoError(t, os.Mkdir(dir, 0o700))
	state := State{Token: "secret-token", Databases: map[string]string{
		"orders": "postgres://a:b@h/orders?x='$(y)", "inventory": "postgres://i", "orchestrator": "postgres://o",
	}, Processes: []Process{{Name: Orchestrator, Addr: "127.0.0.1:1234"}}}
	path, err := WriteEnv(dir, "/src/way bill", state)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	shell := exec.Command("/bin/sh", "-c", `. "$0" && printf '%s\n' "$ORDERS_DB" "$RELAY_DATABASES" "$ORCHESTRATOR_URL" "$ORCHESTRATOR_TOKEN" "$RELAY_TOKEN" "$ORDERS_TOKEN" "$INVENTORY_TOKEN" "${PATH%%:*}"`, path)
	out, err := shell.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, `postgres://a:b@h/orders?x='$(y)
orders=postgres://a:b@h/orders?x='$(y),inventory=postgres://i,orchestrator=postgres://o
http://127.0.0.1:1234
secret-token
secret-token
secret-token
secret-token
/src/way bill/bin
`, string(out))

	t.Setenv("ORCHESTRATOR_ADMIN_TOKENS", "me=my-own-token,you=other-token")
	require.Equal(t, "my-own-token", state.TokenFor(Orchestrator))
	require.Equal(t, "secret-token", state.TokenFor(Relay))
	require.Empty(t, (&plan{token: "x"}).adminTokens(Orchestrator))
	require.Equal(t, []string{"RELAY_ADMIN_TOKENS=dev=x"}, (&plan{token: "x"}).adminTokens(Relay))
	require.Equal(t, []string{"INVENTORY_ADMIN_TOKENS=dev=x", "INVENTORY_ANONYMOUS_STOCK=true"}, (&plan{token: "x"}).adminTokens(Inventory))
}
