package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Blocker is a session that holds a lock for which one of ours waits.
type Blocker struct {
	PID         int32
	Application string
	User        string
	State       string // "idle in transaction", "active"; "" where the role may not see it
	// Since is how long its transaction has been open, in seconds; -1 where that cannot be seen.
	Since float64
	Query string // its last statement; it holds data, and is for logs only
}

func (b Blocker) String() string {
	text := fmt.Sprintf("pid %d", b.PID)
	if b.Application != "" {
		text += fmt.Sprintf(" (%s)", b.Application)
	}
	if b.State != "" {
		text += ", " + b.State
	}
	if b.Since >= 0 {
		text += fmt.Sprintf(", in its transaction for %.0f s", b.Since)
	}
	return text
}

// blockersSQL looks at the waiting sessions of this application. Prepared transactions hold locks
// without a session and show as pid 0.
const blockersSQL = `
select distinct b.pid::int as pid,
       coalesce(a.application_name, case when b.pid = 0 then 'prepared transaction' else '' end) as application,
       coalesce(a.usename, '') as "user", coalesce(a.state, '') as state,
       coalesce(extract(epoch from clock_timestamp() - a.xact_start), -1)::float8 as since,
       coalesce(left(a.query, 200), '') as query
from pg_stat_activity w, unnest(pg_blocking_pids(w.pid)) as b (pid)
     left join pg_stat_activity a on a.pid = b.pid
where w.datname = current_database() and w.application_name = current_setting('application_name')
  and w.wait_event_type = 'Lock'
order by pid
limit 5`

// Blockers names the sessions that hold what sessions of this service wait for at this moment.
func Blockers(ctx context.Context, pool *pgxpool.Pool) ([]Blocker, error) {
	rows, err := pool.Query(ctx, blockersSQL)
	if err != nil {
		return nil, fmt.Errorf("look for who holds a lock: %w", err)
	}
	blockers, err := pgx.CollectRows(rows, pgx.RowToStructByName[Blocker])
	if err != nil {
		return nil, fmt.Errorf("look for who holds a lock: %w", err)
	}
	return blockers, nil
}

// NameBlockers is [Blockers] for people: a line per session, without its statement, which may hold
// data.
func NameBlockers(pool *pgxpool.Pool) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		blockers, err := Blockers(ctx, pool)
		names := make([]string, len(blockers))
		for i, b := range blockers {
			names[i] = b.String()
		}
		return names, err
	}
}
