package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/chassis/fault"
)

// Schema is a set of migrations and the version of it that a service needs.
type Schema struct {
	Set     string
	Version int64
}

// SchemaError says that a set of migrations is older than a service needs, and what to do.
type SchemaError struct {
	Database string
	Schema   Schema
	Found    int64 // 0: not installed
}

// Error implements error: what is missing, then the command that installs it.
func (e *SchemaError) Error() string {
	found := fmt.Sprintf("is at version %d", e.Found)
	if e.Found == 0 {
		found = "is not installed"
	}
	return fmt.Sprintf("database %q: schema %q %s, version %d is needed; run: migrate up --database <url of %s> %s",
		e.Database, e.Schema.Set, found, e.Schema.Version, e.Database, e.Schema.Set)
}

// AwaitSchema waits until the database answers, and then returns a *[SchemaError] if one of the
// schemas is older than needed. A database that is newer is fine: migrations keep older services
// running. It returns ctx's error if the database does not answer before ctx ends.
func AwaitSchema(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger, needed ...Schema) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, 2*time.Second
	for {
		err := requireSchema(ctx, pool, needed)
		if err == nil || !worthWaiting(err) || ctx.Err() != nil {
			return err
		}
		log.WarnContext(ctx, "waiting for the database", "error", strings.Join(strings.Fields(err.Error()), " ")) // pgx writes lines
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the database: %w", ctx.Err())
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// worthWaiting is narrower than [Unavailable]: what a process that starts cannot do, for its
// password or its grants, is more likely a wrong setting than an outage, and is better said at
// once.
func worthWaiting(err error) bool {
	f := Classify(err)
	class := f.Code[:min(2, len(f.Code))]
	return f.Kind != fault.Message && class != "28" && class != "3D" && class != "42"
}

func requireSchema(ctx context.Context, pool *pgxpool.Pool, needed []Schema) error {
	for _, schema := range needed {
		found, err := version(ctx, pool, schema.Set)
		if err != nil && Classify(err).Code == insufficientPrivilege {
			return fmt.Errorf("read the version of schema %q: %w; run: migrate grants --to LOGIN ROLE… | psql URL", schema.Set, err)
		}
		if err != nil {
			return fmt.Errorf("read the version of schema %q: %w", schema.Set, err)
		}
		if found < schema.Version {
			return &SchemaError{Database: pool.Config().ConnConfig.Database, Schema: schema, Found: found}
		}
	}
	return nil
}

const (
	undefinedTable        = "42P01"
	insufficientPrivilege = "42501"
)

// version reads goose's table of a set. A row says that a version was applied or, later, taken
// back.
func version(ctx context.Context, pool *pgxpool.Pool, set string) (int64, error) {
	table := pgx.Identifier{"goose_" + set}.Sanitize()
	sql := `
select coalesce(max(version_id), 0)
from (select distinct on (version_id) version_id, is_applied from ` + table + ` order by version_id, id desc) as last
where is_applied`
	var found int64
	err := pool.QueryRow(ctx, sql).Scan(&found)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == undefinedTable {
		return 0, nil
	}
	return found, err
}
