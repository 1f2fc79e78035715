package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/fault"
	"waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
)

const patience = 2 * time.Minute

func open(t *testing.T, db *pgtest.Database) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: config.Secret(db.URL)}, "test")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// admin does something to the test's database from outside of it.
func admin(t *testing.T, db *pgtest.Database, format string) {
	t.Helper()
	name := pgx.Identifier{db.Pool.Config().ConnConfig.Database}.Sanitize()
	_, err := db.Pool.Exec(t.Context(), fmt.Sprintf(format, name))
	require.NoError(t, err)
}

func show(t *testing.T, pool *pgxpool.Pool, setting string) string {
	t.Helper()
	var value string
	require.NoError(t, pool.QueryRow(t.Context(), "select current_setting($1)", setting).Scan(&value))
	return value
}

// What an operator sets for a database or a role must not take a promise away.
func TestOpen_ASessionsPromisesDoNotDependOnTheDatabasesSettings(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, setting := range []string{
		"synchronous_commit = off", "default_transaction_isolation = 'serializable'", "statement_timeout = 0",
		"lock_timeout = 0", "idle_in_transaction_session_timeout = 0",
	} {
		admin(t, db, "alter database %s set "+setting)
	}
	pool := open(t, db)
	for setting, want := range map[string]string{
		"synchronous_commit": "on", "transaction_isolation": "read committed", "statement_timeout": "20s",
		"lock_timeout": "2s", "idle_in_transaction_session_timeout": "8s",
		"tcp_keepalives_idle": "2", "tcp_user_timeout": "10000",
	} {
		if got := show(t, pool, setting); got != want {
			require.Equal(t, "0", got, setting) // a Unix socket has no TCP settings
			require.Contains(t, setting, "tcp_")
		}
	}
	admin(t, db, "alter database %s set synchronous_commit = remote_apply")
	require.Equal(t, "remote_apply", show(t, open(t, db), "synchronous_commit"), "a stronger promise stays")
}

// A process that was paused, or whose machine vanished, in the middle of a transaction holds its
// locks for seconds, not for hours.
func TestOpen_ATransactionThatIsLeftOpenIsEndedByTheServer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	_, err := db.Pool.Exec(t.Context(), `create table things (id int primary key); insert into things values (1)`)
	require.NoError(t, err)
	paused, err := open(t, db).Begin(t.Context())
	require.NoError(t, err)
	_, err = paused.Exec(t.Context(), `select from things for update`)
	require.NoError(t, err)
	began := time.Now()
	successor := open(t, db)
	for {
		_, err := successor.Exec(t.Context(), `update things set id = 1`)
		if err == nil {
			break
		}
		require.Equal(t, "lock", postgres.Classify(err).Reason)
		require.Less(t, time.Since(began), patience)
	}
	_, err = paused.Exec(t.Context(), `select 1`)
	require.Equal(t, fault.Outage, postgres.Classify(err).Kind, "the paused process waits and begins again: %v", err)
	_ = paused.Rollback(t.Context())
}

func TestHasty_GivesUpOnALockAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	_, err := db.Pool.Exec(t.Context(), `create table things (id int primary key); insert into things values (1)`)
	require.NoError(t, err)
	holder, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = holder.Exec(t.Context(), `select from things for update`)
	require.NoError(t, err)
	pool := open(t, db)
	attempt := func(ctx context.Context) time.Duration {
		began := time.Now()
		_, err := pool.Exec(ctx, `update things set id = 1`)
		require.Equal(t, "lock", postgres.Classify(err).Reason)
		return time.Since(began)
	}
	for range 2 {
		require.Eventually(t, func() bool { // a machine with much else to do may be slow once
			return attempt(postgres.FailFast(t.Context())) < postgres.LockTimeout/2
		}, patience, time.Millisecond)
		require.GreaterOrEqual(t, attempt(t.Context()), postgres.LockTimeout)
	}
}

func TestBlockers_NamesWhoHoldsWhatOurSessionsWaitFor(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	_, err := db.Pool.Exec(t.Context(), `create table things (id int primary key); insert into things values (1)`)
	require.NoError(t, err)
	config, err := pgx.ParseConfig(db.URL)
	require.NoError(t, err)
	config.RuntimeParams["application_name"] = "psql"
	holder, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer holder.Close(context.WithoutCancel(t.Context()))
	_, err = holder.Exec(t.Context(), `begin; select from things for update`)
	require.NoError(t, err)
	pool := open(t, db)
	none, err := postgres.Blockers(t.Context(), pool)
	require.NoError(t, err)
	require.Empty(t, none)

	waiting, enough := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	go func() {
		for { // as often as the machine needs
			if _, err := pool.Exec(waiting, `update things set id = 1`); waiting.Err() != nil {
				waited <- err
				return
			}
		}
	}()
	var found []postgres.Blocker
	require.Eventually(t, func() bool {
		found, err = postgres.Blockers(t.Context(), pool)
		return err == nil && len(found) == 1
	}, patience, 10*time.Millisecond)
	enough()
	require.Equal(t, int32(holder.PgConn().PID()), found[0].PID) // a pid
	require.Regexp(t, `^pid \d+ \(psql\), idle in transaction, in its transaction for \d+ s$`, found[0].String())
	require.Error(t, <-waited)
}

// After a failover the sessions of the old primary, and those opened while the database was
// read-only, answer 25006 to every write. They must not stay in the pool.
func TestOpen_AReadOnlySessionIsThrownAway(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	_, err := db.Pool.Exec(t.Context(), `create table things (id int)`)
	require.NoError(t, err)
	pool := open(t, db)
	admin(t, db, "alter database %s set default_transaction_read_only = on")
	var idle []*pgxpool.Conn
	for range 3 {
		conn, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		idle = append(idle, conn)
	}
	for _, conn := range idle {
		conn.Release()
	}
	require.EqualError(t, postgres.Check(pool)(t.Context()), "the database is read-only")
	_, err = pool.Exec(t.Context(), `insert into things values (1)`)
	require.Equal(t, "database_read_only", postgres.Classify(err).Reason)

	// The test's own pool has sessions from before, which may write.
	admin(t, db, "alter database %s reset default_transaction_read_only")
	require.Eventually(t, func() bool {
		_, err = pool.Exec(t.Context(), `insert into things values (1)`)
		return err == nil
	}, patience, 10*time.Millisecond)
	for range 3 {
		_, err = pool.Exec(t.Context(), `insert into things values (1)`)
		require.NoError(t, err, "every session of the pool was opened after the database took writes again")
	}
	require.Eventually(t, func() bool { return postgres.Check(pool)(t.Context()) == nil }, patience, 10*time.Millisecond)
}

func TestCheck_SaysThatTheLoginIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pool := open(t, db)
	require.Eventually(t, func() bool { return postgres.Check(pool)(t.Context()) == nil }, patience, 10*time.Millisecond)
	elsewhere, err := pgx.ParseConfig(db.URL)
	require.NoError(t, err)
	name := elsewhere.Database
	elsewhere.Database = "postgres"
	conn, err := pgx.ConnectConfig(t.Context(), elsewhere)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	allow := func(yes bool) {
		_, err = conn.Exec(t.Context(), fmt.Sprintf("alter database %s allow_connections %t", pgx.Identifier{name}.Sanitize(), yes))
		require.NoError(t, err)
	}
	allow(false)
	defer allow(true) // it is dropped through a session of its own
	require.Eventually(t, func() bool {
		if _, err = conn.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`, name); err != nil {
			return false
		}
		err = postgres.Check(pool)(t.Context())
		return err != nil && err.Error() == "the database refuses the login (55000)"
	}, patience, 10*time.Millisecond, "%v", err)
	_, err = pool.Exec(t.Context(), `select 1`)
	require.Equal(t, fault.Outage, postgres.Classify(err).Kind)
}
