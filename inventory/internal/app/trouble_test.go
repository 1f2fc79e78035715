package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/contracts"
	"waybill.example/inventory/internal/app"
)

// connect opens a session of somebody else, in the service's database or, to close that one, in
// another.
func (s *system) connect(database string) *pgx.Conn {
	s.t.Helper()
	config, err := pgx.ParseConfig(s.db.URL)
	require.NoError(s.t, err)
	if database != "" {
		config.Database = database
	}
	config.RuntimeParams["application_name"] = "somebody"
	conn, err := pgx.ConnectConfig(s.t.Context(), config)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(s.t.Context())) })
	return conn
}

func (s *system) exec(conn *pgx.Conn, sql string, args ...any) {
	s.t.Helper()
	_, err := conn.Exec(s.t.Context(), sql, args...)
	require.NoError(s.t, err)
}

// awaitUnready waits until the service says that it is not ready, for this reason.
func (s *system) awaitUnready(v *service, reason string) {
	s.t.Helper()
	s.eventually(func() bool { return v.unready(reason) }, "not ready: %s", reason)
}

// awaitUnreadyAnew ends the service's sessions until it says so of those that it opens then: one
// whose login was under way when the database was changed is as it was before.
func (s *system) awaitUnreadyAnew(v *service, reason string, admin *pgx.Conn, database string) {
	s.t.Helper()
	s.eventually(func() bool {
		s.exec(admin, `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = 'inventory'`, database)
		return v.unready(reason)
	}, "not ready: %s", reason)
}

func (v *service) unready(reason string) bool {
	v.t.Helper()
	status, answer, _ := v.do(http.MethodGet, "/readyz", "")
	return status == http.StatusServiceUnavailable && strings.Contains(answer, reason)
}

func (s *system) awaitReady(v *service) {
	s.t.Helper()
	s.eventually(func() bool {
		status, _, _ := v.do(http.MethodGet, "/readyz", "")
		return status == http.StatusOK
	}, "ready")
}

func (s *system) reserveMany(from, to int64, sku string) {
	s.t.Helper()
	var commands []contracts.Message
	for order := from; order < to; order++ {
		commands = append(commands, reserve(order, sku, 1))
	}
	s.send(commands...)
}

// The database refuses every login for a while, for whatever reason: messages wait, and HTTP
// clients are told to come again.
func TestInventory_WaitsWhileItsDatabaseRefusesLogins(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(s *system, admin *pgx.Conn, database string, yes bool){
		"no connections": func(s *system, admin *pgx.Conn, database string, yes bool) {
			s.exec(admin, fmt.Sprintf(`alter database %s allow_connections %t`, database, !yes))
		},
		"changed password": func(s *system, admin *pgx.Conn, database string, yes bool) {
			s.exec(admin, fmt.Sprintf(`alter role %s password '%s'`, database, map[bool]string{true: "new", false: "old"}[yes]))
		},
		"no login": func(s *system, admin *pgx.Conn, database string, yes bool) {
			s.exec(admin, fmt.Sprintf(`alter role %s %s`, database, map[bool]string{true: "nologin", false: "login"}[yes]))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			admin := s.connect("postgres")
			parsed, err := pgx.ParseConfig(s.db.URL)
			require.NoError(t, err)
			database := pgx.Identifier{parsed.Database}.Sanitize()
			s.exec(admin, `create role `+database+` superuser login password 'old'`) // one of its own, named as the database
			t.Cleanup(func() { _, _ = admin.Exec(context.WithoutCancel(t.Context()), `drop role `+database) })
			cfg := s.config()
			address, err := url.Parse(s.db.URL)
			require.NoError(t, err)
			address.User = url.UserPassword(parsed.Database, "old")
			cfg.Postgres.URL = config.Secret(address.String())
			v := s.startWith(cfg)
			v.put("burger", 100)
			refuse(s, admin, database, true)
			s.awaitUnreadyAnew(v, "the database refuses the login", admin, parsed.Database)
			s.reserveMany(1, 21, "burger")
			s.awaitUnready(v, "login_refused")
			status, _, retryAfter := v.do(http.MethodPut, "/v1/stock/burger", `{"onHand":50}`)
			require.Equal(t, http.StatusServiceUnavailable, status)
			require.NotEmpty(t, retryAfter)
			refuse(s, admin, database, false)
			require.Equal(t, map[string]int{"InventoryReserved": 20}, s.answers(20))
			s.awaitReady(v)
			v.stop()
		})
	}
}

// Somebody adds a trigger that refuses every row, and takes it away again.
func TestInventory_SetsNothingAsideForSomebodysTrigger(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	v := s.start()
	v.put("burger", 100)
	somebody := s.connect("")
	s.exec(somebody, `
create function audit() returns trigger language plpgsql as $$ begin raise 'audit log full'; end $$;
create trigger audit before insert on reservations for each row execute function audit()`)
	s.reserveMany(1, 51, "burger")
	s.awaitUnready(v, "raised_exception (SQLSTATE P0001)")
	s.exec(somebody, `drop trigger audit on reservations`)
	require.Equal(t, map[string]int{"InventoryReserved": 50}, s.answers(50))
	s.awaitReady(v)
}

// A grant is missing, or a column: the same, with other codes.
func TestInventory_SetsNothingAsideForASchemaThatIsNotAsItShouldBe(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	v := s.start()
	v.put("burger", 100)
	somebody := s.connect("")
	s.exec(somebody, `alter table reservations rename to reservations_old`)
	s.reserveMany(1, 51, "burger")
	s.awaitUnready(v, "schema (SQLSTATE 42P01)")
	s.exec(somebody, `alter table reservations_old rename to reservations`)
	require.Equal(t, map[string]int{"InventoryReserved": 50}, s.answers(50))
	s.awaitReady(v)
}

// A stock row is removed by hand: what needs it cannot be done, and everything else can.
func TestInventory_AStockRowThatIsGoneHoldsItsOwnOrdersOnly(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	v := s.start()
	v.put("burger", 100)
	v.put("doomed", 5)
	s.reserveMany(1, 2, "doomed")
	s.answers(1)
	s.exec(s.connect(""), `delete from stock where sku = 'doomed'`)
	s.send(release(1))
	s.reserveMany(2, 12, "burger")
	s.eventually(func() bool {
		var reserved int
		require.NoError(t, s.db.Pool.QueryRow(t.Context(), `select count(*) from outbox where type = 'InventoryReserved'`).Scan(&reserved))
		return reserved == 11
	}, "orders of another sku go on")
	s.eventually(func() bool {
		var done int
		require.NoError(t, s.db.Pool.QueryRow(t.Context(),
			`select count(*) from outbox where type = 'InventoryReleased' or topic = 'inventory.commands.v1.dlq'`).Scan(&done))
		return done == 1
	}, "the release is answered, or set aside")
	s.awaitReady(v)
}

// Somebody holds a stock row: orders of other skus go on, and /readyz says who it is.
func TestInventory_ALockHoldsThoseWhoNeedTheRow(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	v := s.start()
	v.put("burger", 100)
	v.put("pizza", 100)
	somebody := s.connect("")
	s.exec(somebody, `begin; select from stock where sku = 'pizza' for update`)
	s.reserveMany(1, 2, "pizza")
	s.reserveMany(2, 12, "burger")
	require.Equal(t, map[string]int{"InventoryReserved": 10}, s.answers(10))
	s.awaitUnready(v, fmt.Sprintf("held by pid %d (somebody)", somebody.PgConn().PID()))
	v.requireLevel("pizza", 100, 0)
	s.exec(somebody, `rollback`)
	s.answers(11)
	s.awaitReady(v)
}

// After a failover the sessions of the pool are read-only, though the database takes writes again.
func TestInventory_DoesNotKeepReadOnlySessions(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	v := s.start()
	v.put("burger", 100)
	admin := s.connect("postgres")
	config, err := pgx.ParseConfig(s.db.URL)
	require.NoError(t, err)
	database := pgx.Identifier{config.Database}.Sanitize()
	s.exec(admin, `alter database `+database+` set default_transaction_read_only = on`)
	s.awaitUnreadyAnew(v, "the database is read-only", admin, config.Database)
	s.reserveMany(1, 11, "burger")
	status, _, retryAfter := v.do(http.MethodPut, "/v1/stock/burger", `{"onHand":50}`)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.NotEmpty(t, retryAfter)
	s.exec(admin, `alter database `+database+` reset default_transaction_read_only`)
	require.Equal(t, map[string]int{"InventoryReserved": 10}, s.answers(10))
	s.awaitReady(v)
}

// Two processes have one group.instance.id: the first reads nothing any more, so it ends, and with
// an error, so that a supervisor starts it again and an operator gives it a name of its own.
func TestInventory_EndsWhenAnotherProcessTakesItsPlaceInTheGroup(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	cfg := s.config()
	cfg.Kafka.Properties = []string{"group.instance.id=one"}
	first, err := app.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- first.Run(t.Context()) }()
	s.reserveMany(1, 2, "burger")
	s.answers(1)
	second := s.startWith(cfg)
	select {
	case err := <-ended:
		require.ErrorContains(t, err, "another process has the same group.instance.id")
	case <-time.After(2 * time.Minute):
		require.Fail(t, "the fenced process goes on")
	}
	s.reserveMany(2, 3, "burger")
	s.answers(2)
	second.stop()
}
