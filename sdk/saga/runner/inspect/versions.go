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
	Removable  bool   `json:"removable" doc:"True where no saga is left that could need it"`
	Suspended  string `json:"suspended,omitempty" doc:"By whom and why all of its sagas are suspended"`
}

// It reads the whole table: it is for the rare moment at which a version is to be removed.
const versionsSQL = `
select d.name, d.version, coalesce(d.suspended_by || ': ' || d.suspended_because, ''),
       count(s.id) filter (where s.deadline is not null) as open,
       count(s.id) filter (where s.deadline is null) as ended
from saga_definitions d left join sagas s on s.definition = d.name and s.version = d.version
group by d.name, d.version order by d.name, d.version`

// Versions lists all versions that were ever run, and what is left of each.
func (i *Inspector) Versions(ctx context.Context) ([]VersionUse, error) {
	rows, err := i.db.Query(ctx, versionsSQL)
	if err != nil {
		return nil, fmt.Errorf("count sagas by version: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (v VersionUse, err error) {
		err = r.Scan(&v.Definition, &v.Version, &v.Suspended, &v.Open, &v.Ended)
		_, v.Registered = i.registry.Definition(v.Definition, v.Version)
		v.Removable = v.Open+v.Ended == 0
		return v, err
	})
	if err != nil {
		return nil, fmt.Errorf("count sagas by version: %w", err)
	}
	return list, nil
}
