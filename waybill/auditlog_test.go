package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/auditlog"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	saga "waybill.example/orchestrator/cli"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// logOf serves the audit logs of databases as the relay does; see
// TestEveryVerbOfTheCommandLine in outbox-relay for the relay itself.
func logOf(t *testing.T, databases map[string]*pgtest.Database) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/sources", func(w http.ResponseWriter, _ *http.Request) {
		var list struct {
			Sources []map[string]string `json:"sources"`
		}
		for name := range databases {
			list.Sources = append(list.Sources, map[string]string{"database": name})
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	mux.HandleFunc("GET /v1/outbox/{database}/audit-log", func(w http.ResponseWriter, r *http.Request) {
		db := databases[r.PathValue("database")]
		if db == nil {
			http.NotFound(w, r)
			return
		}
		q := r.URL.Query()
		after, _ := strconv.ParseInt(q.Get("after"), 10, 64)
		if cursor := q.Get("cursor"); cursor != "" {
			after, _ = strconv.ParseInt(cursor, 10, 64)
		}
		limit, _ := strconv.Atoi(q.Get("limit"))
		oldest := q.Get("order") == "oldest"
		if oldest {
			limit = 1 // a chain is followed over pages
		}
		records, err := auditlog.List(r.Context(), db.Pool, auditlog.Filter{Actor: q.Get("actor"), After: after, Oldest: oldest, Limit: limit})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		next := ""
		if oldest && len(records) == 1 {
			next = strconv.FormatInt(records[0].Seq, 10)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": records, "next": next})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// run runs a command line against the relay at url.
func run(t *testing.T, url string, args ...string) (string, error) {
	t.Helper()
	return runLine(t, append(args, "--relay-url", url)...)
}

// runLine runs a command line.
func runLine(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	parser, err := kong.New(&verbs{}, kong.BindTo(saga.Terminal{Context: t.Context(), Out: &out}, new(saga.Terminal)), kong.Bind(saga.Terminal{Context: t.Context(), Out: &out}))
	require.NoError(t, err)
	parsed, err := parser.Parse(args)
	require.NoError(t, err)
	err = parsed.Run()
	return out.String(), err
}

func recordIn(t *testing.T, db *pgtest.Database, actors ...string) {
	t.Helper()
	for _, actor := range actors {
		e := auditlog.Entry{Actor: actor, Action: "outbox.pause", Object: "outbox", Reason: "=1+1", Before: map[string]string{"note": "<&>"}}
		require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error { return auditlog.Append(t.Context(), tx, e) }))
	}
}

func TestAuditLog_ListsExportsAndVerifiesAllDatabases(t *testing.T) {
	t.Parallel()
	orders, inventory := pgtest.New(t, migrations.Outbox), pgtest.New(t, migrations.Outbox)
	recordIn(t, orders, "ada", "bob")
	recordIn(t, inventory, "eve")
	url := logOf(t, map[string]*pgtest.Database{"orders": orders, "inventory": inventory})

	out, err := run(t, url, "audit-log", "list")
	require.NoError(t, err)
	require.Equal(t, 4, strings.Count(out, "\n"), out)
	require.Contains(t, out, "ada")
	out, err = run(t, url, "audit-log", "list", "--actor", "eve")
	require.NoError(t, err)
	require.NotContains(t, out, "bob")

	out, err = run(t, url, "audit-log", "verify")
	require.NoError(t, err, out)
	require.Regexp(t, `orders: 2 entries, ends at 2:[0-9a-f]{64}`, out)

	out, err = run(t, url, "audit-log", "export", "--format", "csv", "-d", "orders")
	require.NoError(t, err)
	require.Contains(t, out, ",'=1+1,", "no spreadsheet takes a reason for a formula")

	exported, err := run(t, url, "audit-log", "export")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(exported), 0o600))
	out, err = run(t, url, "audit-log", "verify", "--file", file)
	require.NoError(t, err, out)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(exported, "bob", "ann", 1)), 0o600))
	out, err = run(t, url, "audit-log", "verify", "--file", file)
	require.ErrorContains(t, err, "1 of 2 audit logs are not what was recorded")
	require.Contains(t, out, "orders: BROKEN: entry 2 is not what was recorded")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(exported, `"seq":2,`, `"seq":2,"masked":true,`, 1)), 0o600))
	out, err = run(t, url, "audit-log", "verify", "--file", file)
	require.ErrorContains(t, err, "1 of 2 audit logs could not be checked")
	require.Contains(t, out, "not checked: entry 2 has fields that are hidden from you; verify with a token whose role sees them")
}

func TestAuditLog_VerifyFindsAnEndThatWasCutOff(t *testing.T) {
	t.Parallel()
	orders := pgtest.New(t, migrations.Outbox)
	recordIn(t, orders, "ada", "bob")
	url := logOf(t, map[string]*pgtest.Database{"orders": orders})
	out, err := run(t, url, "audit-log", "verify")
	require.NoError(t, err)
	end := strings.TrimSpace(out[strings.LastIndex(out, " "):])
	recordIn(t, orders, "eve")
	_, err = run(t, url, "audit-log", "verify", "--expect", "orders="+end)
	require.NoError(t, err)
	_, err = orders.Pool.Exec(t.Context(), `alter table audit_log disable trigger audit_log_stays; delete from audit_log where seq > 1`)
	require.NoError(t, err)
	out, err = run(t, url, "audit-log", "verify", "--expect", "orders="+end)
	require.Error(t, err)
	require.Contains(t, out, "it ends at entry 1, and ended at entry 2 before")
	out, err = run(t, url, "audit-log", "verify", "--expect", "ordres="+end)
	require.ErrorContains(t, err, "1 of 2 audit logs are not what was recorded", "a name that is misspelt expects nothing")
	require.Contains(t, out, "ordres: BROKEN: there is no log of it, and it ended at 2:")
	out, err = run(t, url, "audit-log", "verify", "--expect", "orders=nonsense")
	require.ErrorContains(t, err, "is not the end of a chain", out)
}

func TestAuditLog_RefusesAFileThatIsNoExport(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{`{"seq":1}`: "an entry names no database", `{`: "unexpected EOF", `[]`: "cannot unmarshal"} {
		file := filepath.Join(t.TempDir(), "audit.jsonl")
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		_, err := runLine(t, "audit-log", "verify", "--file", file)
		require.ErrorContains(t, err, "is no export of audit logs as JSON lines")
		require.ErrorContains(t, err, want)
	}
}

func TestAuditLog_SaysWhichDatabaseIsNotThere(t *testing.T) {
	t.Parallel()
	_, err := run(t, logOf(t, nil), "audit-log", "verify", "-d", "nowhere")
	require.ErrorContains(t, err, `the relay has no database "nowhere"`)
}
