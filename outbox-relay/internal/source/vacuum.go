package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Vacuum is what holds back vacuum of a database, so that versions of rows that nobody needs any
// more stay: above all of the cursor, which has one row and twenty new versions per second.
type Vacuum struct {
	// Kind is session, prepared transaction or replication slot; empty if nothing holds it back.
	// Name says which.
	Kind, Name string
	// Transactions is how many transactions have begun since.
	Transactions int64
	// Held is since when, as far as the role may see it.
	Held time.Duration
	// DeadCursors is how many versions of the cursor wait to be removed, by Postgres' own account.
	DeadCursors int64
}

// Of other databases only what crosses them counts. The transaction id of a session's snapshot is
// there for every role to see; when the transaction began is not. Vacuum does not wait for other
// vacuums.
const vacuumSQL = `
with holder (kind, name, age, seconds) as (
    select 'session', format('pid %s of role %s', pid, usename), age(backend_xmin), extract(epoch from now() - xact_start)
      from pg_stat_activity
     where backend_xmin is not null and pid <> pg_backend_pid()
       and (datname = current_database() or backend_type = 'walsender') and backend_type <> 'autovacuum worker'
    union all
    select 'prepared transaction', gid, age(transaction), extract(epoch from now() - prepared)
      from pg_prepared_xacts
     where database = current_database()
    union all
    select 'replication slot', slot_name, age(xmin), null
      from pg_replication_slots
     where xmin is not null)
select h.kind, h.name, h.age::bigint, coalesce(h.seconds, 0)::float8
  from holder h
 order by h.age desc, h.seconds desc nulls last
 limit 1`

const deadCursorsSQL = `
select coalesce(max(n_dead_tup), 0) from pg_stat_all_tables where schemaname = 'public' and relname = 'outbox_cursor'`

// Vacuum looks at what holds back vacuum.
func (s *Session) Vacuum(ctx context.Context) (Vacuum, error) {
	var v Vacuum
	var seconds float64
	err := s.conn.QueryRow(ctx, vacuumSQL).Scan(&v.Kind, &v.Name, &v.Transactions, &seconds)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return v, fmt.Errorf("look at what holds back vacuum of database %s: %w", s.database, err)
	}
	v.Held = time.Duration(seconds * float64(time.Second))
	if err := s.conn.QueryRow(ctx, deadCursorsSQL).Scan(&v.DeadCursors); err != nil {
		return v, fmt.Errorf("look at dead rows of database %s: %w", s.database, err)
	}
	return v, nil
}
