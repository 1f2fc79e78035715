package inspect

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// VersionUse is what is left of one version of a definition.
type VersionUse struct {
	Definition string `json:"definition"`
	Version    int    `json:"version"`
	Registered bool   `json:"registered" doc:"Whether this orchestrator knows it"`
	Open       int64  `json:"open" doc:"Sagas that have not ended"`
	Ended      int64  `json:"ended" doc:"Sagas that have ended and are still kept: a cancellation or a late reply can come for them"`
	More       bool   `json:"more,omitzero" doc:"Whether there are more that have ended: they are counted up to 10,000"`
	Removable  bool   `json:"removable" doc:"True where no saga is left that could need it"`
	Suspended  string `json:"suspended,omitempty" doc:"By whom and why all of its sagas are suspended"`
}

// maxEnded is how many ended sagas of a version are counted: whether there are any is what counts.
const maxEnded = 10_000

// Both are index scans, of sagas_open and sagas_ended: neither takes longer for the sagas of a
// month.
const versionsSQL = `
with open as (select definition, version, count(*) as n from sagas where wake_at is not null and deadline is not null group by definition, version)
select d.name, d.version, coalesce(d.suspended_by || ': ' || d.suspended_because, ''), coalesce(o.n, 0),
       (select count(*) from (select from sagas s where s.definition = d.name and s.version = d.version and s.wake_at is null limit $1) e)
  from saga_definitions d left join open o on o.definition = d.name and o.version = d.version
 order by d.name, d.version`

// Versions lists all versions that were ever run, and what is left of each.
func (i *Inspector) Versions(ctx context.Context) ([]VersionUse, error) {
	rows, err := i.db.Query(ctx, versionsSQL, maxEnded+1)
	if err != nil {
		return nil, fmt.Errorf("count sagas by version: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (v VersionUse, err error) {
		err = r.Scan(&v.Definition, &v.Version, &v.Suspended, &v.Open, &v.Ended)
		_, v.Registered = i.registry.Definition(v.Definition, v.Version)
		v.Removable = v.Open+v.Ended == 0
		v.More, v.Ended = v.Ended > maxEnded, min(v.Ended, maxEnded)
		return v, err
	})
	if err != nil {
		return nil, fmt.Errorf("count sagas by version: %w", err)
	}
	return list, nil
}
