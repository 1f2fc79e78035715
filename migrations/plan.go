package migrations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// Pending is a migration that [Up] would apply, and the statements that it would run.
type Pending struct {
	Step
	SQL string
	// InTransaction: all or nothing. Otherwise one after the other, as an index needs that is
	// created concurrently.
	InTransaction bool
}

// Plan returns what [Up] would apply, in its order. It reads the database and changes nothing, not
// even where nothing is installed.
func Plan(ctx context.Context, databaseURL string, sets ...Set) ([]Pending, error) {
	conn, err := connect(ctx, databaseURL)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	var all []Pending
	for _, set := range sets {
		pending, err := plan(ctx, conn, set)
		if err != nil {
			return nil, fmt.Errorf("plan set %s: %w", set, err)
		}
		all = append(all, pending...)
	}
	return all, nil
}

func plan(ctx context.Context, conn *pgx.Conn, set Set) (pending []Pending, err error) {
	names, err := fs.Glob(files, string(set)+"/*.sql") // sorted
	if err != nil || len(names) == 0 {
		return nil, unknown(set)
	}
	done, err := applied(ctx, conn, set)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, fmt.Errorf("read the version of %s: %w", name, err)
		}
		if done[version] {
			continue
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		pending = append(pending, Pending{
			Step: Step{Set: set, Version: version, File: path.Base(name)},
			SQL:  statements(string(text)), InTransaction: !strings.Contains(string(text), "-- +goose NO TRANSACTION"),
		})
	}
	return pending, nil
}

const undefinedTable = "42P01"

// applied reads goose's table of a set. A row says that a version was applied or, later, taken
// back.
func applied(ctx context.Context, conn *pgx.Conn, set Set) (map[int64]bool, error) {
	rows, _ := conn.Query(ctx, `
select version_id
  from (select distinct on (version_id) version_id, is_applied from `+pgx.Identifier{"goose_" + string(set)}.Sanitize()+` order by version_id, id desc) as last
 where is_applied`) // its error is that of CollectRows
	versions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == undefinedTable {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the applied migrations: %w", err)
	}
	done := make(map[int64]bool, len(versions))
	for _, v := range versions {
		done[v] = true
	}
	return done, nil
}

// statements returns the part of a migration that goes up, with its comments, without goose's
// annotations.
func statements(text string) string {
	up, _, _ := strings.Cut(text, "-- +goose Down")
	var kept strings.Builder
	for line := range strings.Lines(up) {
		if !strings.HasPrefix(line, "-- +goose") {
			kept.WriteString(line)
		}
	}
	return strings.TrimSpace(kept.String()) + "\n"
}
