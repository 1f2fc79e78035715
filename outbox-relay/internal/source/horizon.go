package source

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Horizon says which transactions could still fill a gap.
type Horizon struct {
	// Allocated is the highest id that the sequence has handed out. It was read before the rest, so
	// whatever transaction was given one of these ids is among Allocators, or has ended.
	Allocated int64
	// Allocators are the transactions that have been given an id by the outbox's sequence and have
	// not ended.
	Allocators []Allocator
}

// Allocator is a transaction that may hold ids whose rows it has not committed.
type Allocator struct {
	// Transaction is its virtual id, backend/number, which names one transaction of one session.
	// One that is prepared has lost its backend, and shows as -1/number.
	Transaction string
	// XID is its transaction id, 0 while it has none.
	XID int64
	// Prepared says that it is prepared: it belongs to no session, and is given no further id.
	Prepared bool
}

// nextval takes a lock on the sequence before it hands out an id, and keeps it to the end of the
// transaction, whatever becomes of its subtransactions; PREPARE TRANSACTION hands it on. pg_locks
// is there for every role to read, for transactions of all roles, and a virtual id names one
// transaction of one session, so no clock is compared.
//
// Reading a sequence (pg_dump does) takes a weaker lock, and is not counted.
// pg_sequence_last_value(), which monitoring calls, takes the same one: a session that is idle in
// its transaction and has no transaction id is not counted either, where it can be seen to be so.
// All its statements are over, and none has written a row.
//
// A lock on a transaction id has 32 of its 64 bits; the rest is that of the snapshot, give or take
// one. Of several, the lowest is the transaction's, and the others are those of its
// subtransactions.
const horizonSQL = `
with lock as materialized (
    select locktype, database, relation, transactionid, virtualtransaction, pid, mode from pg_locks where granted),
holder as materialized (
    select virtualtransaction, pid
      from lock
     where locktype = 'relation' and mode = 'RowExclusiveLock'
       and relation = pg_get_serial_sequence('public.outbox', 'id')::regclass
       and database = (select oid from pg_database where datname = current_database())),
xid as materialized (
    select l.virtualtransaction, l.pid, l.transactionid,
           id + case when id - now > 2147483648 then -4294967296 when now - id > 2147483648 then 4294967296 else 0 end as id
      from lock l
     cross join lateral (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint) s (now)
     cross join lateral (select l.transactionid::text::bigint + now - (now & 4294967295)) f (id)
     where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock')
select h.virtualtransaction, coalesce(x.id, 0), false
  from holder h
  left join lateral (select min(id) as id from xid where virtualtransaction = h.virtualtransaction) x on true
  left join pg_stat_activity a on a.pid = h.pid
 where h.pid is not null
   and not (x.id is null and a.backend_xid is null and coalesce(a.state, '') like 'idle in transaction%')
union all
select distinct x.virtualtransaction, x.id, true
  from xid x
  join pg_prepared_xacts p on p.transaction = x.transactionid
 where x.pid is null
   and x.virtualtransaction in (select virtualtransaction from holder where pid is null)`

// Horizon looks at the transactions that are alive now.
func (s *Session) Horizon(ctx context.Context) (Horizon, error) {
	var h Horizon
	batch := &pgx.Batch{} // one round trip; the second statement begins when the first has ended
	batch.Queue(s.allocatedSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&h.Allocated) })
	batch.Queue(horizonSQL).Query(func(rows pgx.Rows) (err error) {
		h.Allocators, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Allocator])
		return err
	})
	if err := s.conn.SendBatch(ctx, batch).Close(); err != nil {
		return h, fmt.Errorf("look at running transactions of database %s: %w", s.database, err)
	}
	return h, nil
}
