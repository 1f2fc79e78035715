package stack

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill/migrations"
)

const duplicateDatabase = "42P04"

// migrate creates the databases that are not there, and brings each to the
// newest schema of the outbox and of its own service.
func migrate(ctx context.Context, databaseURL func(string) string, databases map[string]string) error {
	server, err := pgx.Connect(ctx, databaseURL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer server.Close(ctx)
	for name, url := range databases {
		_, err := server.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize())
		var refused *pgconn.PgError
		if err != nil && (!errors.As(err, &refused) || refused.Code != duplicateDatabase) {
			return fmt.Errorf("create database %s: %w", name, err)
		}
		if _, err := migrations.Up(ctx, url, migrations.Outbox, migrations.Set(name)); err != nil {
			return fmt.Errorf("database %s: %w", name, err)
		}
	}
	return nil
}
