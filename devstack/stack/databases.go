package stack

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/devstack/postgres"
	"waybill.example/migrations"
)

const duplicateDatabase = "42P04"

// mark is the comment of a database that a stack has made. Without it a
// database is another owner's, whatever its name: "orders" is a likely one.
const mark = `made by devstack, which may change what is in it`

// makeDatabases creates the databases that are not there. On a server that is not
// ours, a database that was there before and is not marked is taken only if it
// is empty: nothing is installed beside the tables of others.
func (p *plan) makeDatabases(ctx context.Context) error {
	server, err := pgx.Connect(ctx, p.databaseURL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer server.Close(ctx)
	// All are looked at before the first is changed.
	found := map[string]database{}
	for _, name := range databaseNames {
		if found[name], err = p.look(ctx, server, name); err != nil {
			return err
		}
	}
	for name, d := range found {
		if !d.there {
			d.ours, err = createDatabase(ctx, server, p.prefix+name)
		}
		if err == nil && !d.ours {
			err = markDatabase(ctx, server, p.prefix+name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const lockSQL = `select pg_try_advisory_lock(hashtext('waybill devstack'), hashtext($1))`

// lockDatabases takes the databases for one stack, for as long as the connection lives: two stacks
// have two brokers, and each relay would send half of the rows to its own.
func (p *plan) lockDatabases(ctx context.Context) (io.Closer, error) {
	server, err := pgx.Connect(ctx, p.databaseURL("postgres"))
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	held := closer(func() error { return server.Close(context.WithoutCancel(ctx)) })
	var free bool
	if err := server.QueryRow(ctx, lockSQL, p.prefix).Scan(&free); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the databases: %w", err), held.Close())
	}
	if !free {
		return nil, errors.Join(fmt.Errorf("another stack uses the databases %q of this server: set %s, for example to waybill2_",
			p.prefix+Orders, postgres.EnvPrefix), held.Close())
	}
	return held, nil
}

type closer func() error

func (c closer) Close() error { return c() }

// database is what was found of one.
type database struct{ there, ours bool }

// look refuses a database that is not ours and not empty.
func (p *plan) look(ctx context.Context, server *pgx.Conn, name string) (database, error) {
	const lookSQL = `select coalesce(shobj_description(oid, 'pg_database'), '') from pg_database where datname = $1`
	var comment string
	switch err := server.QueryRow(ctx, lookSQL, p.prefix+name).Scan(&comment); {
	case errors.Is(err, pgx.ErrNoRows):
		return database{}, nil
	case err != nil:
		return database{}, fmt.Errorf("look at database %s: %w", p.prefix+name, err)
	case !p.external || comment == mark:
		return database{there: true, ours: true}, nil
	}
	return database{there: true}, p.requireEmpty(ctx, name)
}

const contentsSQL = `
select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast|^pg_temp'
  and not exists (select 1 from pg_depend where objid = c.oid and deptype = 'e')`

func (p *plan) requireEmpty(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.databases[name])
	if err != nil {
		return fmt.Errorf("look into database %s: %w", p.prefix+name, err)
	}
	defer conn.Close(ctx)
	var relations int
	if err := conn.QueryRow(ctx, contentsSQL).Scan(&relations); err != nil {
		return fmt.Errorf("look into database %s: %w", p.prefix+name, err)
	}
	if relations == 0 {
		return nil
	}
	return fmt.Errorf("the server of %s has a database %q that no devstack has made, and it is not empty. Nothing was changed. "+
		"For databases of its own, set %s, for example to waybill_. If it is Waybill's and may be used for trying out, run: "+
		"%s",
		postgres.EnvURL, p.prefix+name, postgres.EnvPrefix, markSQL(p.prefix+name))
}

// createDatabase reports whether another stack was faster.
func createDatabase(ctx context.Context, server *pgx.Conn, name string) (there bool, err error) {
	_, err = server.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize())
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == duplicateDatabase {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("create database %s: %w", name, err)
	}
	return false, nil
}

func markDatabase(ctx context.Context, server *pgx.Conn, name string) error {
	if _, err := server.Exec(ctx, markSQL(name)); err != nil {
		return fmt.Errorf("mark database %s as devstack's (its owner can: %s): %w", name, markSQL(name), err)
	}
	return nil
}

func markSQL(name string) string {
	return fmt.Sprintf("comment on database %s is '%s'", pgx.Identifier{name}.Sanitize(), mark)
}

// migrate brings each database to the newest schema of the outbox and of its own
// service.
func (p *plan) migrate(ctx context.Context) error {
	for name, url := range p.databases {
		if _, err := migrations.Up(ctx, url, migrations.Outbox, migrations.Set(name)); err != nil {
			return fmt.Errorf("database %s: %w", p.prefix+name, err)
		}
	}
	return nil
}
