package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrDefinitionChanged says that a definition is not what its version was when
// it was first run: the sagas that are stored could not be read any more.
var ErrDefinitionChanged = errors.New("a saga definition was changed under its version")

const rememberSQL = `
insert into saga_definitions (name, version, fingerprint)
select * from unnest($1::text[], $2::int[], $3::text[])
on conflict do nothing`

const rememberedSQL = `
select name, version, fingerprint, first_seen_at, max(version) over (partition by name) as newest
from saga_definitions order by name, version`

// CheckDefinitions remembers the versions that are registered, and compares
// those that were run before with what they were then.
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
	if err := s.Pool.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("compare the saga definitions: %w", err)
	}
	return errors.Join(faults...)
}

// VersionUse is what is left of one version of a definition.
type VersionUse struct {
	Definition string `json:"definition"`
	Version    int    `json:"version"`
	Registered bool   `json:"registered" doc:"Whether this orchestrator knows it"`
	Open       int64  `json:"open" doc:"Sagas that have not ended"`
	Ended      int64  `json:"ended" doc:"Sagas that have ended and are still kept: a cancellation or a late reply can come for them"`
	Removable  bool   `json:"removable" doc:"True where no saga is left that could need it"`
}

// It reads the whole table: it is for the rare moment at which somebody wants to remove a version.
const versionsSQL = `
select d.name, d.version,
       count(s.id) filter (where s.deadline is not null) as open,
       count(s.id) filter (where s.deadline is null) as ended
from saga_definitions d left join sagas s on s.definition = d.name and s.version = d.version
group by d.name, d.version order by d.name, d.version`

// Versions lists all versions that were ever run, and what is left of each.
func (s *Store) Versions(ctx context.Context) ([]VersionUse, error) {
	rows, err := s.ForPeople().Query(ctx, versionsSQL)
	if err != nil {
		return nil, fmt.Errorf("count sagas by version: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (v VersionUse, err error) {
		err = r.Scan(&v.Definition, &v.Version, &v.Open, &v.Ended)
		_, v.Registered = s.Registry.Definition(v.Definition, v.Version)
		v.Removable = v.Open+v.Ended == 0
		return v, err
	})
	if err != nil {
		return nil, fmt.Errorf("count sagas by version: %w", err)
	}
	return list, nil
}
