package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrDefinitionChanged says that a definition is not what its version was when it was first run:
// the stored sagas could no longer be read.
var ErrDefinitionChanged = errors.New("a saga definition was changed under its version")

const rememberSQL = `
insert into saga_definitions as known (name, version, fingerprint, structure)
select * from unnest($1::text[], $2::int[], $3::text[], $4::jsonb[])
on conflict (name, version) do update set structure = excluded.structure
 where known.fingerprint = excluded.fingerprint and known.structure is distinct from excluded.structure`

const rememberedSQL = `
select name, version, fingerprint, first_seen_at, max(version) over (partition by name) as newest
from saga_definitions order by name, version`

// CheckDefinitions remembers the versions that are registered, and compares those that were run
// before with what they were then.
func (s *Store) CheckDefinitions(ctx context.Context) error {
	var names, prints []string
	var versions []int32
	var structures [][]byte
	for _, d := range s.Registry.Definitions() {
		structure, err := json.Marshal(d.Describe())
		if err != nil {
			return fmt.Errorf("describe %s: %w", d.Name(), err)
		}
		names, versions = append(names, d.Name()), append(versions, int32(d.Version()))
		prints, structures = append(prints, d.Fingerprint()), append(structures, structure)
	}
	var batch pgx.Batch
	var faults []error
	batch.Queue(rememberSQL, names, versions, prints, structures)
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
