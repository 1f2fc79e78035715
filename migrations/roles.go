package migrations

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3/lock"
)

//go:embed roles/*.sql
var roles embed.FS

// Role names what a login does in a database: a file of grants in the folder roles.
type Role string

// The roles. Writer, Consumer, Relay and Reader are of the set "outbox"; the others are of the set
// of that name, and for services that are Writer and Consumer as well.
const (
	Writer           Role = "writer"
	Consumer         Role = "consumer"
	Relay            Role = "relay"
	ParticipantRole  Role = "participant"
	Reader           Role = "reader"
	OrdersRole       Role = "orders"
	InventoryRole    Role = "inventory"
	OrchestratorRole Role = "orchestrator"
)

// Roles lists every role.
func Roles() []Role {
	return []Role{Writer, Consumer, Relay, Reader, ParticipantRole, OrdersRole, InventoryRole, OrchestratorRole}
}

// ErrUnknownRole is wrapped by the error for a role that does not exist.
var ErrUnknownRole = errors.New("unknown role")

// Grants returns the SQL that gives a login what it needs for the roles, and keeps everybody else
// from connecting. The database's owner runs it, after the migrations and again after each upgrade.
func Grants(login string, of ...Role) (string, error) {
	var sql strings.Builder
	for _, role := range append([]Role{"connect"}, of...) {
		text, err := roles.ReadFile("roles/" + string(role) + ".sql")
		if err != nil {
			return "", fmt.Errorf("%w %q: there are %v", ErrUnknownRole, role, Roles())
		}
		sql.WriteString(strings.ReplaceAll(string(text), `"ROLE"`, pgx.Identifier{login}.Sanitize()) + "\n")
	}
	return sql.String(), nil
}

// ApplyGrants runs [Grants] for a login that is there. The URL is of the database's owner.
func ApplyGrants(ctx context.Context, databaseURL, login string, of ...Role) error {
	sql, err := Grants(login, of...)
	if err != nil {
		return err
	}
	return execute(ctx, databaseURL, sql, login, of)
}

// Grant makes the login, if it is not there, gives it the password, and runs [Grants]. The URL is
// of a login that may create roles.
func Grant(ctx context.Context, databaseURL, login, password string, of ...Role) error {
	grants, err := Grants(login, of...)
	if err != nil {
		return err
	}
	if strings.ContainsAny(login+password, `'"\$`) {
		return errors.New("the name or the password of the login has a quote, a backslash or a dollar sign")
	}
	name := pgx.Identifier{login}.Sanitize()
	ensure := fmt.Sprintf(`do $$ begin
    if not exists (select from pg_roles where rolname = '%s') then create role %s; end if;
end $$;
alter role %s login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password '%s';`, login, name, name, password)
	return execute(ctx, databaseURL, ensure+grants, login, of)
}

func execute(ctx context.Context, databaseURL, sql, login string, of []Role) error {
	conn, err := connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) // which lets go of the lock
	// Two that grant at once would fail with "tuple concurrently updated". The lock is the one that
	// migrations run under.
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", lock.DefaultLockID); err != nil {
		return fmt.Errorf("take the lock of the migrations: %w", err)
	}
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("grant %v to %s: %w", of, login, err)
	}
	return nil
}
