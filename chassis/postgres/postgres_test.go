package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/puddle/v2"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/fault"
	"waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

func TestAnOlderSchemaIsRefusedWithTheCommandThatMendsIt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	require.NoError(t, postgres.AwaitSchema(t.Context(), db.Pool, quiet, postgres.Schema{Set: "outbox", Version: 1}))

	name := db.Pool.Config().ConnConfig.Database
	err := postgres.AwaitSchema(t.Context(), db.Pool, quiet, postgres.Schema{Set: "orders", Version: 1})
	require.EqualError(t, err, fmt.Sprintf(
		`database %q: schema "orders" is not installed, version 1 is needed; run: migrate up --database <url of %s> orders`, name, name))

	err = postgres.AwaitSchema(t.Context(), db.Pool, quiet, postgres.Schema{Set: "outbox", Version: 99})
	var old *postgres.SchemaError
	require.ErrorAs(t, err, &old)
	require.Positive(t, old.Found)
}

func TestASchemaThatMayNotBeReadIsRefusedWithTheCommandThatGrantsIt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	config := db.Pool.Config()
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "set role pg_read_all_stats") // no grant on a table comes with it
		return err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	err = postgres.AwaitSchema(t.Context(), pool, quiet, postgres.Schema{Set: "outbox", Version: 1})
	require.ErrorContains(t, err, "permission denied for table goose_outbox")
	require.ErrorContains(t, err, "run: migrate grants --to LOGIN ROLE… | psql URL")
}

func TestASchemaThatWasTakenBackCountsAsNotInstalled(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	for {
		steps, err := migrations.Down(t.Context(), db.URL, migrations.Outbox)
		require.NoError(t, err)
		if len(steps) == 0 {
			break
		}
	}
	err := postgres.AwaitSchema(t.Context(), db.Pool, quiet, postgres.Schema{Set: "outbox", Version: 1})
	var old *postgres.SchemaError
	require.ErrorAs(t, err, &old)
	require.Zero(t, old.Found)
}

func TestADatabaseThatIsAwayIsUnavailableNotBroken(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://nobody@127.0.0.1:1/none"}, "test")
	require.NoError(t, err)
	defer pool.Close()
	err = pool.Ping(t.Context())
	require.Error(t, err)
	require.True(t, postgres.Unavailable(err))
	require.Equal(t, fault.Outage, postgres.Classify(err).Kind)
	require.EqualError(t, postgres.Check(pool)(t.Context()), "the database does not answer")
}

// A server that refuses another connection is up, and something else is to be done about it than
// where nobody answers.
func TestCheck_ALoginWithoutAConnectionLeftIsNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	parsed := db.Pool.Config().ConnConfig
	role := pgx.Identifier{parsed.Database}.Sanitize() // one of its own, named as the database
	_, err := db.Pool.Exec(t.Context(), "create role "+role+" login password 'secret' connection limit 0")
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = db.Pool.Exec(context.WithoutCancel(t.Context()), "drop role "+role) })
	address, err := url.Parse(db.URL)
	require.NoError(t, err)
	address.User = url.UserPassword(parsed.Database, "secret")
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: config.Secret(address.String())}, "test")
	require.NoError(t, err)
	defer pool.Close()
	f := postgres.Classify(pool.Ping(t.Context()))
	require.Equal(t, fault.Fault{Kind: fault.Outage, Reason: "database_resources", Code: "53300"}, f)
	require.EqualError(t, postgres.Check(pool)(t.Context()), "the database is out of connections, memory or disk (53300)")
}

func TestOpen_DoesNotEchoABadURL(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://u:hunter2@[bad"}, "test")
	require.ErrorContains(t, err, "DATABASE_URL")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestClassify_OnlyDataAndConstraintsAreTheMessagesFault(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]fault.Kind{
		"22P02": fault.Message, "22021": fault.Message, "23505": fault.Message, "23514": fault.Message,
		"40001": fault.Conflict, "40P01": fault.Conflict,
		"55P03": fault.Statement, "57014": fault.Statement, "42501": fault.Statement, "42P01": fault.Statement,
		"42703": fault.Statement, "0A000": fault.Statement, "26000": fault.Statement, "P0001": fault.Statement,
		"54000": fault.Statement, "XX000": fault.Statement, "58030": fault.Statement, "25P02": fault.Statement,
		"08006": fault.Outage, "25006": fault.Outage, "53300": fault.Outage, "57P01": fault.Outage, "57P03": fault.Outage,
	} {
		err := fmt.Errorf("x: %w", &pgconn.PgError{Code: code, Severity: "ERROR"})
		require.Equal(t, want, postgres.Classify(err).Kind, code)
		require.Equal(t, want != fault.Message, postgres.Unavailable(err), code)
	}
	for _, code := range []string{"28P01", "28000", "3D000", "55000", "25P03", "25P04", "57P05", "53300"} {
		err := fmt.Errorf("x: %w", &pgconn.PgError{Code: code, Severity: "FATAL"})
		require.Equal(t, fault.Outage, postgres.Classify(err).Kind, "the session is over: %s", code)
	}
	for _, err := range []error{context.DeadlineExceeded, context.Canceled, io.ErrUnexpectedEOF, net.ErrClosed, puddle.ErrClosedPool} {
		require.Equal(t, fault.Outage, postgres.Classify(fmt.Errorf("x: %w", err)).Kind, "%v", err)
	}
	require.Equal(t, fault.Message, postgres.Classify(errors.New("invalid input")).Kind)
}

func TestClassify_ErrorsOfOneCauseAreAlike(t *testing.T) {
	t.Parallel()
	alike := func(a, b error) bool { return postgres.Classify(a).Alike == postgres.Classify(b).Alike }
	check := func(constraint, message string) error {
		return &pgconn.PgError{Code: "23514", ConstraintName: constraint, TableName: "t", Message: message}
	}
	require.True(t, alike(check("c", "row 1"), check("c", "row 2")))
	require.False(t, alike(check("c", "row 1"), check("d", "row 1")))
	require.True(t, alike(errors.New("order 17 is unknown"), errors.New("order 4 is unknown")))
	require.False(t, alike(errors.New("order 17 is unknown"), errors.New("order 17 is cancelled")))
}

func TestClassify_ASessionThatIsCutIsAnOutage(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = db.Pool.Exec(t.Context(), `select pg_terminate_backend($1)`, conn.Conn().PgConn().PID())
	require.NoError(t, err)
	for range 2 { // the cut itself, and the use of a connection that is known to be dead
		_, err = conn.Exec(t.Context(), `select 1`)
		require.Error(t, err)
		require.Equal(t, fault.Outage, postgres.Classify(err).Kind, "%v", err)
	}
}
