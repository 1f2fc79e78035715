package compose_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// databases reads name=URL,….
func databases(t *testing.T, list string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		name, url, found := strings.Cut(pair, "=")
		require.True(t, found, pair)
		all[name] = url
	}
	return all
}

// A login is what a long-running service says to Postgres, and where it says it.
type login struct{ service, name, password, database string }

func logins(t *testing.T, project *types.Project) (all []login) {
	t.Helper()
	for service := range services {
		urls := map[string]string{}
		for variable, value := range project.Services[service].Environment {
			switch {
			case variable == "DATABASE_URL":
				urls[variable] = *value
			case strings.HasSuffix(variable, "_DATABASES"):
				urls = databases(t, *value)
				if own := project.Services[service].Environment["DATABASE_URL"]; own != nil {
					urls["DATABASE_URL"] = *own
				}
			}
		}
		require.NotEmpty(t, urls, service)
		for _, text := range urls {
			u, err := url.Parse(text)
			require.NoError(t, err)
			password, _ := u.User.Password()
			all = append(all, login{service, u.User.Username(), password, strings.TrimPrefix(u.Path, "/")})
		}
	}
	return all
}

func TestNoServiceIsPostgresSuperuserOrAnotherService(t *testing.T) {
	t.Parallel()
	project := load(t)
	used := map[string]login{}
	for _, l := range logins(t, project) {
		require.NotEqual(t, *project.Services["postgres"].Environment["POSTGRES_USER"], l.name, l.service)
		require.Regexp(t, `^`+l.database+`_(service|relay)$`, l.name, l.service)
		require.NotContains(t, used, l.name, "%s logs in as %s does", l.service, used[l.name].service)
		used[l.name] = l
	}
	require.Len(t, used, 6)
}

// The script and the migrations of compose.yaml are run as they stand there, on a server of this
// test's own, and then each service's login tries what it is for, and what it is not.
func TestEachLoginMayDoItsWorkAndNothingElse(t *testing.T) {
	t.Parallel()
	project := load(t)
	server := pgtest.Private(t)
	at := func(l login) string {
		u, err := url.Parse(server.URL(l.database))
		require.NoError(t, err)
		if l.name != "" {
			u.User = url.UserPassword(l.name, l.password)
		}
		return u.String()
	}
	script, err := os.ReadFile("create-databases.sql")
	require.NoError(t, err)
	owner, err := pgx.Connect(t.Context(), server.URL("postgres"))
	require.NoError(t, err)
	defer owner.Close(t.Context())
	for statement := range strings.SplitSeq(withoutComments(string(script)), ";") {
		_, err := owner.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	migrate := filepath.Join(build(t, "./migrations/cmd/migrate"), "migrate")
	for _, database := range []string{"orders", "inventory", "orchestrator"} {
		for range 2 { // as `docker compose up` does on a system that is set up
			command := exec.CommandContext(t.Context(), migrate, project.Services["migrate-"+database].Command...)
			command.Env = append(os.Environ(), "DATABASE_URL="+at(login{database: database}))
			output, err := command.CombinedOutput()
			require.NoError(t, err, string(output))
		}
	}
	const write = `insert into outbox (event_id, topic, key, type, payload, headers) values (gen_random_uuid(), 'orders.v1', '1', 'T', '{}', '{}')`
	const read, tidy, handled = "select payload from outbox", "delete from outbox where id = 0", "select * from inbox"
	may := map[string][]string{"service": {write, handled}, "relay": {read, tidy}}
	mayNot := map[string][]string{"service": {tidy, "truncate outbox"}, "relay": {write}}
	tables := map[string]string{"orders": "orders", "inventory": "stock", "orchestrator": "sagas"}
	for _, l := range logins(t, project) {
		_, kind, _ := strings.Cut(l.name, "_")
		conn, err := pgx.Connect(t.Context(), at(l))
		require.NoError(t, err, l.name)
		var super bool
		require.NoError(t, conn.QueryRow(t.Context(), "select rolsuper or rolcreaterole or rolcreatedb from pg_roles where rolname = current_user").Scan(&super))
		require.False(t, super, l.name)
		allowed, refused := may[kind], mayNot[kind]
		if table := "select * from " + tables[l.database]; kind == "relay" {
			refused = append(refused[:1:1], table)
		} else {
			allowed = append(allowed[:2:2], table)
		}
		for _, sql := range allowed {
			_, err := conn.Exec(t.Context(), sql)
			require.NoError(t, err, "%s: %s", l.name, sql)
		}
		for _, sql := range refused {
			_, err := conn.Exec(t.Context(), sql)
			requireRefused(t, err, l.name+": "+sql)
		}
		require.NoError(t, conn.Close(t.Context()))
		impostor := l
		impostor.password = "guess"
		_, err = pgx.Connect(t.Context(), at(impostor))
		require.Error(t, err, "the password of %s is not asked for", l.name)
		for database := range tables {
			if elsewhere := l; database != l.database {
				elsewhere.database = database
				_, err := pgx.Connect(t.Context(), at(elsewhere))
				requireRefused(t, err, l.name+" in "+database)
			}
		}
	}
}

func requireRefused(t *testing.T, err error, what string) {
	t.Helper()
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused, what)
	require.Equal(t, "42501", refused.Code, what)
}

func withoutComments(sql string) string {
	var kept strings.Builder
	for line := range strings.Lines(sql) {
		if !strings.HasPrefix(line, "--") {
			kept.WriteString(line)
		}
	}
	return strings.TrimSuffix(strings.TrimSpace(kept.String()), ";")
}
