package ops

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Gaps are the ids below the highest published one that nothing is known of, and what holds them
// open.
type Gaps struct {
	Database string `json:"database"`
	// Count is how many ranges of ids are missing, and IDs how many ids. Lowest are the first of
	// the ranges.
	Count  int64   `json:"count"`
	IDs    int64   `json:"ids"`
	Lowest []Range `json:"lowest"`
	// Holders are the transactions that have been given an id and have not ended, the oldest first.
	Holders []GapHolder `json:"holders"`
}

// Range is the ids from From to To.
type Range struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// GapHolder is a transaction that may still fill a gap.
type GapHolder struct {
	// PID is the session's process, nil for a prepared transaction; then GID is what to name in
	// rollback prepared.
	PID         *int32     `json:"pid"`
	GID         *string    `json:"gid"`
	Role        *string    `json:"role"`
	Application *string    `json:"application"`
	Client      *string    `json:"client"`
	State       *string    `json:"state"`
	Since       *time.Time `json:"since"`
	// Query is the session's last statement. Those of other roles are shown to members of
	// pg_read_all_stats.
	Query *string `json:"query"`
}

const (
	gapsSQL = `
with gap as materialized (
    select lower(r) as low, upper(r) - 1 as high
      from public.outbox_cursor c
     cross join lateral unnest(int8multirange(int8range(1, coalesce(upper(c.published), 1))) - c.published) as r)
select (select count(*) from gap), coalesce((select sum(high - low + 1) from gap), 0)::bigint`
	lowestGapsSQL = `
select lower(r), upper(r) - 1
  from public.outbox_cursor c
 cross join lateral unnest(int8multirange(int8range(1, coalesce(upper(c.published), 1))) - c.published) as r
 order by 1
 limit $1`
	gapHoldersSQL = `
select pid, gid, role::text, application_name, client_addr::text, state, since, left(query, 1000)
  from public.outbox_gap_holders
 order by since nulls first
 limit 100`
)

// Gaps looks at the gaps, and at the transactions that hold them open.
func (d *Database) Gaps(ctx context.Context, limit int) (Gaps, error) {
	gaps := Gaps{Database: d.Name}
	err := d.pool.QueryRow(ctx, gapsSQL).Scan(&gaps.Count, &gaps.IDs)
	if err != nil {
		return gaps, fmt.Errorf("count the gaps of database %s: %w", d.Name, err)
	}
	rows, _ := d.pool.Query(ctx, lowestGapsSQL, limit)
	if gaps.Lowest, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Range]); err != nil {
		return gaps, fmt.Errorf("list the gaps of database %s: %w", d.Name, err)
	}
	gaps.Holders, err = collect[GapHolder](ctx, d, "look for what holds the gaps", gapHoldersSQL)
	return gaps, err
}
