package migrations_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

// as makes a login with the roles and connects with it; the login ends with the test.
func as(t *testing.T, db *pgtest.Database, roles ...migrations.Role) *pgx.Conn {
	t.Helper()
	login := "waybill_test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	t.Cleanup(func() {
		name := pgx.Identifier{login}.Sanitize()
		_, _ = db.Pool.Exec(context.WithoutCancel(t.Context()), "drop owned by "+name+"; drop role "+name) // the server goes anyway
	})
	require.NoError(t, migrations.Grant(t.Context(), db.URL, login, "secret", roles...))
	require.NoError(t, migrations.Grant(t.Context(), db.URL, login, "secret", roles...), "it can be run again")
	u, err := url.Parse(db.URL)
	require.NoError(t, err)
	u.User = url.UserPassword(login, "secret")
	conn, err := pgx.Connect(t.Context(), u.String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

const row = `insert into outbox (event_id, topic, key, type, payload, headers) values (gen_random_uuid(), 'orders.v1', '1', 'T', '{}', '{}')`

// Each role tries what it must be able to do, and what it must not.
func TestRoles_MayDoTheirWorkAndNothingElse(t *testing.T) {
	t.Parallel()
	handled := `insert into inbox (event_id, consumer, topic, "partition", "offset") values (gen_random_uuid(), 'c', 't', 0, 0) on conflict do nothing returning event_id`
	for role, tt := range map[migrations.Role]struct{ may, mayNot []string }{
		migrations.Writer: {
			may: []string{row},
			mayNot: []string{
				"insert into outbox (id, topic, type, payload) overriding system value values (9223372036854775806, 't', 'T', '')",
				"insert into outbox (topic, type, payload, created_at) values ('t', 'T', '', 'infinity')",
				"select payload from outbox", "update outbox set topic = 'x'", "delete from outbox", "truncate outbox",
				"update outbox_cursor set published = '{}'", "select setval('outbox_id_seq', 1)", "delete from audit_log",
				"insert into audit_log (actor, action, object) values ('x', 'pause', 'outbox')", handled, "select * from inbox",
				"select payload from dead_letters", "select * from parked_keys", "select * from dead_letter_notes", "select * from job", "select * from job_item",
				"select * from audit_log_head", "select * from outbox_stuck", "select * from outbox_replay", "select * from consumer_positions",
			},
		},
		migrations.Consumer: {
			may: []string{
				handled, "select * from inbox", "select * from consumer_positions",
				"insert into audit_log (actor, action, object) values ('x', 'pause', 'outbox')",
				`insert into consumer_positions (consumer, topic, "partition", next_offset) values ('c', 't', 0, 1)`,
				"update consumer_positions set next_offset = 2", "select inbox_expect(1, 1)",
			},
			mayNot: []string{
				"select * from audit_log_head", "update audit_log_head set seq = 7", "update audit_log set actor = 'y'", "delete from audit_log",
				row, "select * from outbox", "update inbox set consumer = 'x'", "truncate inbox", "delete from consumer_positions",
				"truncate dead_letters", "truncate parked_keys", "truncate dead_letter_notes", "select * from job", "select * from outbox_stuck",
				"update outbox_cursor set epoch = 1", "alter table dead_letters disable trigger all", "select audit_log_chain()",
			},
		},
		migrations.Relay: {
			may: []string{
				"select * from outbox", "delete from outbox where id = 0", "update outbox_cursor set epoch = epoch + 1",
				"select last_value from outbox_id_seq", "select * from outbox_status", "select * from outbox_gap_holders",
				"insert into audit_log (actor, action, object) values ('x', 'pause', 'outbox')", "select * from audit_log",
				"delete from inbox where handled_at < 'epoch'",
			},
			mayNot: []string{
				row, "update outbox set topic = 'x'", "truncate outbox", "delete from audit_log", "update audit_log set actor = 'y'",
				"truncate audit_log", "insert into audit_log (actor, action, object, db_role) values ('x', 'pause', 'o', 'ada')",
				"insert into audit_log (actor, action, object, hash) values ('x', 'pause', 'o', '')", "delete from outbox_cursor",
				"select pg_read_file('/etc/passwd')", "copy outbox to program 'true'",
				"select payload from dead_letters", "update dead_letters set state = 'discarded'", "select * from dead_letter_notes", "select * from parked_keys",
				"select * from job", "update job set state = 'cancelled'", "update consumer_positions set next_offset = 0", "select * from audit_log_head",
				"create trigger t before update on outbox_cursor for each row execute function outbox_wake()",
			},
		},
		migrations.Reader: {
			may: []string{"select payload from outbox", "select * from audit_log", "select * from inbox", "select * from outbox_status"},
			mayNot: []string{
				row, handled, "delete from outbox", "update outbox_cursor set epoch = 1", "update dead_letters set payload = ''", "delete from dead_letters",
				"update dead_letter_notes set note = 'x'", "insert into parked_keys (consumer, key_id) values ('c', gen_random_uuid())", "update job set state = 'x'",
				"delete from job_item", "insert into audit_log (actor, action, object) values ('x', 'pause', 'o')", "update audit_log_head set seq = 1",
			},
		},
	} {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			conn := as(t, pgtest.New(t, migrations.Outbox), role)
			for _, sql := range tt.may {
				_, err := conn.Exec(t.Context(), sql)
				require.NoError(t, err, sql)
			}
			anybody := []string{"create table public.x ()", "create function public.f() returns int language sql as 'select 1'", "create temporary table x ()", "create role x"}
			for _, sql := range append(tt.mayNot, anybody...) {
				_, err := conn.Exec(t.Context(), sql)
				var refused *pgconn.PgError
				require.ErrorAs(t, err, &refused, sql)
				require.Contains(t, []string{"42501", "428C9"}, refused.Code, "%s: %s", sql, refused.Message)
			}
		})
	}
}

func TestRoles_NobodyElseConnects(t *testing.T) {
	t.Parallel()
	db, other := pgtest.New(t, migrations.Outbox), pgtest.New(t, migrations.Outbox)
	require.NoError(t, migrations.Grant(t.Context(), other.URL, "waybill_nobody", "secret", migrations.Writer))
	as(t, db, migrations.Writer)
	u, err := url.Parse(db.URL)
	require.NoError(t, err)
	u.User = url.UserPassword("waybill_nobody", "secret")
	_, err = pgx.Connect(t.Context(), u.String())
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "42501", refused.Code)
}

// What was recorded stays, also for the owner who does not mean to, and says whose session it was.
func TestAudit_IsNotTakenBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	_, err := db.Pool.Exec(t.Context(), "insert into audit_log (actor, action, object) values ('the CEO', 'pause', 'outbox')")
	require.NoError(t, err)
	for _, sql := range []string{"delete from audit_log", "update audit_log set actor = 'x'", "truncate audit_log"} {
		_, err := db.Pool.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "is not changed and not deleted", sql)
	}
	var role, user string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select db_role, session_user from audit_log").Scan(&role, &user))
	require.Equal(t, user, role)
}

// Neither the orchestrator's login nor the owner takes back what happened to a saga; retention
// forgets sagas that have ended, histories included.
func TestSagaTransitions_AreNotTakenBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox, migrations.Orchestrator)
	service := as(t, db, migrations.Writer, migrations.Consumer, migrations.OrchestratorRole)
	_, err := service.Exec(t.Context(), `
insert into sagas (id, definition, version, phase, state, revision, steps, data, started_at, updated_at, deadline, ended_at)
values ('open', 'order', 1, 'RUNNING', 'RUNNING', 1, '[]', '{}', now(), now(), 'infinity', null),
       ('ended', 'order', 1, 'CANCELLED', 'CANCELLED', 1, '[]', '{}', now(), now(), null, now());
insert into saga_transitions (saga_id, definition, seq, at, kind, from_state, to_state, step, cause_type, actor, note, commands)
select id, definition, 1, now(), 'forced', '', state, '', '', 'ada', 'by hand', '[]' from sagas`)
	require.NoError(t, err)
	const both = `
with old as (select id, definition from sagas where id = '%s'), forgotten as (
    delete from saga_transitions t using old where t.saga_id = old.id and t.definition = old.definition)
delete from sagas s using old where s.id = old.id and s.definition = old.definition`
	for _, sql := range []string{
		"update saga_transitions set actor = 'x'", "truncate saga_transitions", "truncate sagas, saga_transitions",
		"delete from saga_transitions", "delete from saga_transitions where saga_id = 'ended'",
		"delete from sagas", "delete from sagas where id = 'open'", fmt.Sprintf(both, "open"),
	} {
		for who, run := range map[string]func() error{
			"service": func() error { _, err := service.Exec(t.Context(), sql); return err },
			"owner":   func() error { _, err := db.Pool.Exec(t.Context(), sql); return err },
		} {
			var refused *pgconn.PgError
			require.ErrorAs(t, run(), &refused, "%s: %s", who, sql)
			require.Equal(t, "42501", refused.Code, "%s: %s: %s", who, sql, refused.Message)
		}
	}
	_, err = service.Exec(t.Context(), fmt.Sprintf(both, "ended"))
	require.NoError(t, err)
	var left []string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select array_agg(saga_id) from saga_transitions").Scan(&left))
	require.Equal(t, []string{"open"}, left)
}

// What the orchestrator notifies people of is no other role's to read or to change: an event names
// sagas, and one that is marked as sent never is. The orchestrator uses these tables and does not
// own them.
func TestRoles_NotificationsAreTheOrchestratorsAlone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox, migrations.Orchestrator)
	refused := func(conn *pgx.Conn, who, sql string) {
		_, err := conn.Exec(t.Context(), sql)
		var refusal *pgconn.PgError
		require.ErrorAs(t, err, &refusal, "%s: %s", who, sql)
		require.Equal(t, "42501", refusal.Code, "%s: %s: %s", who, sql, refusal.Message)
	}
	service := as(t, db, migrations.Writer, migrations.Consumer, migrations.OrchestratorRole)
	others := as(t, db, migrations.Writer, migrations.Consumer, migrations.Relay, migrations.Reader)
	for table, changes := range map[string][]string{
		"notifications":         {"insert into notifications (id, type, subject, event) values (gen_random_uuid(), 't', 's', '{}')", "update notifications set sent_at = now()"},
		"notification_episodes": {"insert into notification_episodes (key, source, subject, since, count) values ('k', 's', 's', now(), 1)", "update notification_episodes set announced = 9"},
		"notification_pass":     {"insert into notification_pass default values", "update notification_pass set at = 'infinity'"},
	} {
		for _, sql := range append(changes, "select * from "+table, "delete from "+table) {
			refused(others, "the others", sql)
		}
		for _, sql := range changes[1:] {
			_, err := service.Exec(t.Context(), sql)
			require.NoError(t, err, sql)
		}
		for _, sql := range []string{"truncate " + table, "drop table " + table, "alter table " + table + " disable trigger all"} {
			refused(service, "the orchestrator", sql)
		}
	}
}

// A principal that may create in the schema plants an operator that fits better than Postgres' own.
// It must not run when somebody else inserts.
func TestOutbox_ATriggerAndACheckLookNothingUpInTheSchema(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	_, err := db.Pool.Exec(t.Context(), `
create table planted (n int);
create function public.grab(jsonb, jsonb) returns boolean language plpgsql as $$ begin insert into planted values (1); return false; end $$;
create operator public.@? (leftarg = jsonb, rightarg = jsonb, function = public.grab);
create function public.pg_notify(unknown_ text, payload varchar) returns void language plpgsql as $$ begin insert into planted values (2); end $$`)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), row)
	require.NoError(t, err)
	var calls int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from planted").Scan(&calls))
	require.Zero(t, calls)
}

func ExampleGrants() {
	sql, err := migrations.Grants("orders_relay", migrations.Relay)
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(sql) {
		if strings.Contains(line, "outbox_cursor") {
			fmt.Print(line)
		}
	}
	// Output: grant select, update on outbox_cursor to "orders_relay";
}

// A table that a later migration adds is one that its service reads and writes, and that readers
// see.
func TestRoles_KnowEveryTable(t *testing.T) {
	t.Parallel()
	const (
		tablesSQL  = `select coalesce(array_agg(relname::text), '{}') from pg_class where relnamespace = 'public'::regnamespace`
		withoutSQL = `
select coalesce(array_agg(relname::text order by relname), '{}') from pg_class
 where relnamespace = 'public'::regnamespace and (relkind = 'r' or relkind = 'v' and $2 = 'select')
   and relname <> all($1) and relname !~ '^goose_' and not has_table_privilege(oid, $2)`
	)
	for set, service := range map[migrations.Set]migrations.Role{
		migrations.Outbox: migrations.Reader, migrations.Orders: migrations.OrdersRole,
		migrations.Inventory: migrations.InventoryRole, migrations.Orchestrator: migrations.OrchestratorRole,
		migrations.Participant: migrations.ParticipantRole,
	} {
		t.Run(string(set), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, migrations.Outbox)
			others, rights := []string{}, []string{"select"}
			if set != migrations.Outbox {
				require.NoError(t, db.Pool.QueryRow(t.Context(), tablesSQL).Scan(&others))
				_, err := migrations.Up(t.Context(), db.URL, set)
				require.NoError(t, err)
				rights = []string{"select", "insert", "update", "delete"}
			}
			conn := as(t, db, service)
			for _, right := range rights {
				var missing []string
				require.NoError(t, conn.QueryRow(t.Context(), withoutSQL, others, right).Scan(&missing))
				// What was recorded is not changed, and what the audit adds up is not deleted; the
				// timeline is for a function that runs with its owner's rights.
				missing = slices.DeleteFunc(missing, func(table string) bool {
					return table == "stock_movements" || table == "orders_timeline" || right == "update" && table == "saga_transitions"
				})
				require.Empty(t, missing, "%s needs %s", service, right)
			}
		})
	}
}
