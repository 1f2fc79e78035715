package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"waybill/chassis/postgres"
	"waybill/devstack/pgtest"
	"waybill/migrations"
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
	require.True(t, postgres.Transient(err))
	require.EqualError(t, postgres.Check(pool)(t.Context()), "the database does not answer")
}

func TestABadURLIsNotEchoed(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://u:hunter2@[bad"}, "test")
	require.ErrorContains(t, err, "DATABASE_URL")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestOnlyWhatTimeMendsIsTransient(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"40001": true, "40P01": true, "57P01": true, "57P03": true, "53300": true, "08006": true, "25006": true,
		"23505": false, "23514": false, "22P02": false, "42P01": false, "42501": false, "22021": false,
	} {
		require.Equal(t, want, postgres.Transient(fmt.Errorf("x: %w", &pgconn.PgError{Code: code})), code)
	}
	require.True(t, postgres.Transient(context.DeadlineExceeded))
	require.False(t, postgres.Transient(errors.New("invalid input")))
}

func TestASessionThatIsCutIsTransient(t *testing.T) {
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
		require.True(t, postgres.Transient(err), "%v", err)
	}
}
