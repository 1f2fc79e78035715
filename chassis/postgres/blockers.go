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
	Query string // its last statement; it holds data, and is for logs and those who may read it
	// Transaction is another for each of its transactions: a virtual transaction id; "" of a
	// prepared one.
	Transaction string
	Tables      []string // that it has locked something of
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

// blockersSQL looks at the waiting sessions of this application, and at transactions that were
// found before, as 'pid transaction', while they are open. Prepared transactions hold locks without
// a session and show as pid 0.
const blockersSQL = `
select b.pid::int as pid,
       coalesce(a.application_name, case when b.pid = 0 then 'prepared transaction' else '' end) as application,
       coalesce(a.usename, '') as "user", coalesce(a.state, '') as state,
       coalesce(extract(epoch from clock_timestamp() - a.xact_start), -1)::float8 as since,
       coalesce(left(nullif(a.query, '<insufficient privilege>'), 200), '') as query,
       coalesce((select v.virtualxid from pg_locks v where v.pid = b.pid and v.locktype = 'virtualxid' and v.granted limit 1), '') as transaction,
       array(select distinct c.relname::text
               from pg_locks l join pg_class c on c.oid = l.relation
              where l.pid = b.pid and l.granted and l.mode <> 'AccessShareLock' and c.relkind in ('r', 'p')
                and l.database = (select oid from pg_database where datname = current_database())) as tables
from (select distinct blocking.pid
        from pg_stat_activity w, unnest(pg_blocking_pids(w.pid)) as blocking (pid)
       where w.datname = current_database() and w.application_name = current_setting('application_name')
         and w.wait_event_type = 'Lock'
       union
      select v.pid from pg_locks v
       where v.locktype = 'virtualxid' and v.granted and v.pid || ' ' || v.virtualxid = any ($1::text[])) b
     left join pg_stat_activity a on a.pid = b.pid
order by pid
limit 20`

// Blockers names the sessions that hold what sessions of this service wait for at this moment.
// Those that were found before are named as well while their transactions are open: between two
// attempts nobody waits.
func Blockers(ctx context.Context, pool *pgxpool.Pool, before ...Blocker) ([]Blocker, error) {
	known := make([]string, len(before))
	for i, b := range before {
		known[i] = fmt.Sprintf("%d %s", b.PID, b.Transaction)
	}
	rows, err := pool.Query(ctx, blockersSQL, known)
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
