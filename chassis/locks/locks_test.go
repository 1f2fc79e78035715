package locks_test

import (
	"context"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/auditlog"
	"waybill.example/chassis/config"
	"waybill.example/chassis/locks"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const patience = 2 * time.Minute

// service is a service's pool, with a login of its own, and a person who has locked a row.
type service struct {
	t     *testing.T
	db    *pgtest.Database
	pool  *pgxpool.Pool
	watch *locks.Watch
	login *url.URL
}

func newService(t *testing.T) service {
	t.Helper()
	db := pgtest.New(t, migrations.Outbox)
	role := "shop_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	_, err := db.Pool.Exec(t.Context(), `create table things (id int primary key); insert into things values (1);
		create role `+role+` login password 'p'; grant all on all tables in schema public to `+role)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, _ = db.Pool.Exec(context.WithoutCancel(t.Context()), "drop owned by "+role+"; drop role "+role)
	})
	login, err := url.Parse(db.URL)
	require.NoError(t, err)
	login.User = url.UserPassword(role, "p")
	pool, err := chassispg.Open(t.Context(), chassispg.Config{URL: config.Secret(login.String())}, "shop")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return service{t, db, pool, locks.New(pool), login}
}

// hold locks the row as a login, until the test ends.
func (s service) hold(dsn string) *pgx.Conn {
	s.t.Helper()
	at, err := pgx.ParseConfig(dsn)
	require.NoError(s.t, err)
	at.RuntimeParams["application_name"] = "psql"
	conn, err := pgx.ConnectConfig(s.t.Context(), at)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(s.t.Context(), `begin; update things set id = 1`)
	require.NoError(s.t, err)
	return conn
}

// wait has the service wait for the row, as often as it takes to notice who holds it meanwhile: an
// attempt ends at the lock_timeout.
func (s service) wait() {
	s.t.Helper()
	var noticed atomic.Bool
	waited := make(chan error, 1)
	go func() {
		var err error
		for again := true; again; again = err != nil && !noticed.Load() {
			_, err = s.pool.Exec(s.t.Context(), `update things set id = 1`)
		}
		waited <- err
	}()
	require.Eventually(s.t, func() bool {
		names, err := s.watch.Names(s.t.Context())
		return err == nil && len(names) == 1
	}, patience, 10*time.Millisecond)
	noticed.Store(true)
	require.Error(s.t, <-waited)
}

// Between two attempts nobody waits; who was seen to hold the row is remembered until the
// transaction has ended, and can be ended.
func TestWatch_RemembersWhoHoldsALockAndEndsIt(t *testing.T) {
	t.Parallel()
	s := newService(t)
	none, err := s.watch.Holders(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)
	holder := s.hold(s.login.String())
	s.wait()
	held, err := s.watch.Holders(t.Context())
	require.NoError(t, err)
	require.Len(t, held, 1)
	require.Equal(t, int32(holder.PgConn().PID()), held[0].PID) // a pid
	require.Equal(t, []string{"things"}, held[0].Tables)
	require.Contains(t, held[0].Query, "update things")
	require.NotEmpty(t, held[0].Transaction)

	by := auditlog.Entry{Actor: "olga", Reason: "she went home"}
	require.ErrorIs(t, s.watch.End(t.Context(), held[0].PID, "1/1", by), locks.ErrNotHeld, "another transaction of the session is not ended")
	var own int32
	require.NoError(t, s.pool.QueryRow(t.Context(), `select pg_backend_pid()`).Scan(&own))
	require.ErrorIs(t, s.watch.End(t.Context(), own, held[0].Transaction, by), locks.ErrNotHeld, "nor one that holds up nothing")
	require.NoError(t, s.watch.End(t.Context(), held[0].PID, held[0].Transaction, by))
	_, err = s.pool.Exec(t.Context(), `update things set id = 1`)
	require.NoError(t, err, "the row is free")
	held, err = s.watch.Holders(t.Context())
	require.NoError(t, err)
	require.Empty(t, held)
	records, err := auditlog.List(t.Context(), s.db.Pool, auditlog.Filter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.Equal(t, "session.end", records[0].Action)
	require.Equal(t, "olga", records[0].Actor)
}

// A session of another role is named, and left alone: the error says who can end it.
func TestWatch_ASessionOfAnotherRoleIsNotEnded(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.hold(s.db.URL)
	s.wait()
	held, err := s.watch.Holders(t.Context())
	require.NoError(t, err)
	require.Len(t, held, 1)
	require.Empty(t, held[0].Query, "what another role does is not shown")
	err = s.watch.End(t.Context(), held[0].PID, held[0].Transaction, auditlog.Entry{Actor: "olga", Reason: "x"})
	require.ErrorIs(t, err, locks.ErrNotAllowed)
	require.ErrorContains(t, err, "pg_terminate_backend(")
	held, err = s.watch.Holders(t.Context())
	require.NoError(t, err)
	require.Len(t, held, 1)
}
