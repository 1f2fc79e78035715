package source

import (
	"context"
	"fmt"
)

// Horizon tells which transactions could still fill a hole.
type Horizon struct {
	// Xmin is the lowest transaction id that is still running; Xmax the lowest not yet handed out.
	Xmin, Xmax int64
	// Drawers are the transactions, by virtual id, that have drawn an id from the outbox's sequence and have not
	// ended, whether or not they have a transaction id yet.
	Drawers []string
	// Prepared counts the prepared transactions that have drawn an id: they lose their virtual id.
	Prepared int64
}

// nextval takes a lock on the sequence and keeps it to the end of the transaction. pg_locks is there for every role
// to read, whoever's the transactions are, which pg_stat_activity is not; and a virtual id names one transaction of
// one session, so no clock is compared.
const horizonSQL = `
with drawer as (
    select virtualtransaction as id, pid
      from pg_locks
     where locktype = 'relation'
       and database = (select oid from pg_database where datname = current_database())
       and relation = pg_get_serial_sequence('outbox', 'id')::regclass
       and granted)
select pg_snapshot_xmin(now_visible)::text::bigint,
       pg_snapshot_xmax(now_visible)::text::bigint,
       (select coalesce(array_agg(id) filter (where pid is not null), '{}') from drawer),
       (select count(*) from drawer where pid is null)
  from pg_current_snapshot() as now_visible`

// Horizon looks at the transactions that are alive now.
func (s *Session) Horizon(ctx context.Context) (Horizon, error) {
	var h Horizon
	if err := s.conn.QueryRow(ctx, horizonSQL).Scan(&h.Xmin, &h.Xmax, &h.Drawers, &h.Prepared); err != nil {
		return h, fmt.Errorf("look at running transactions of database %s: %w", s.database, err)
	}
	return h, nil
}
