package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrDefinitionChanged says that a definition is not what its version was when it was first run:
// the stored sagas could no longer be read.
var ErrDefinitionChanged = errors.New("a saga definition was changed under its version")

const rememberSQL = `
insert into saga_definitions (name, version, fingerprint)
select * from unnest($1::text[], $2::int[], $3::text[])
on conflict do nothing`

const rememberedSQL = `
select name, version, fingerprint, first_seen_at, max(version) over (partition by name) as newest
from saga_definitions order by name, version`

// CheckDefinitions remembers the versions that are registered, and compares those that were run
// before with what they were then.
func (s *Store) CheckDefinitions(ctx context.Context) error {
	names, versions := s.known()
	prints := make([]string, len(names))
	for i, d := range s.Registry.Definitions() {
		prints[i] = d.Fingerprint()
	}
	var batch pgx.Batch
	var faults []error
	batch.Queue(rememberSQL, names, versions, prints)
	batch.Queue(rememberedSQL).Query(func(rows pgx.Rows) error {
		var name, fingerprint string
		var version, newest int
		var seen time.Time
		_, err := pgx.ForEachRow(rows, []any{&name, &version, &fingerprint, &seen, &newest}, func() error {
			if d, ok := s.Registry.Definition(name, version); ok && d.Fingerprint() != fingerprint {
				faults = append(faults, fmt.Errorf("%w: %s version %d is not what it was on %s; keep it as it was then, and make this one version %d beside it",
					ErrDefinitionChanged, name, version, seen.UTC().Format(time.DateOnly), newest+1))
			}
			return nil
		})
		return err
	})
	if err := s.DB.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("compare the saga definitions: %w", err)
	}
	return errors.Join(faults...)
}
