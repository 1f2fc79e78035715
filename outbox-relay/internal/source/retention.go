package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// The clock follows the database's, and what it is more than an hour behind, at a rate of its own.
// An hour is more than clocks are wrong by for a reason, and less than a relay is down for now and
// then.
const retentionClockSQL = `
update public.outbox_cursor
   set retention_clock = case when now() - retention_clock <= interval '1 hour' then now()
                              else least(now(), retention_clock + $2::interval) end
 where epoch = $1
returning retention_clock, greatest(0, extract(epoch from now() - retention_clock))::float8`

// RetentionClock moves the clock by which rows expire on, by so much at most where it is far behind
// the database's. It returns its time, and by how much it is behind. It returns ErrFenced if the
// session's term is over.
//
// The database's own clock may jump: a week ahead, all rows would be old at once, and the gaps that
// were given up forgotten.
func (s *Session) RetentionClock(ctx context.Context, atMost time.Duration) (clock time.Time, behind time.Duration, err error) {
	var seconds float64
	err = s.conn.QueryRow(ctx, retentionClockSQL, s.epoch, atMost).Scan(&clock, &seconds)
	if errors.Is(err, pgx.ErrNoRows) {
		return clock, 0, ErrFenced
	}
	if err != nil {
		return clock, 0, s.explain(fmt.Errorf("move the retention clock of database %s: %w", s.database, err))
	}
	return clock, time.Duration(seconds * float64(time.Second)), nil
}

// One page of the primary key: rows that are old, published and not stuck go away, everything else
// stays. Deleting locks no row that a writer wants and no table; the space is used again after the
// next vacuum.
//
// What the cursor has of the page is worked out once: the cursor can be large. A row that was given
// up and came late stays until the sweep has published it, and one whose id was never handed out
// keeps the sequence from handing it out.
const expireSQL = `
with page as materialized (
    select id, created_at from public.outbox where id >= $1 order by id limit $2),
ids as materialized (
    select int8multirange(int8range(min(id), greatest(min(id), least(max(id), $5) + 1))) as ids from page),
done as materialized (
    select c.published * i.ids - coalesce((select range_agg(r) from public.outbox_closed z, unnest(z.ids) as r where z.ids && i.ids), '{}') as ids
      from public.outbox_cursor c, ids i
     where c.epoch = $4),
gone as (
    delete from public.outbox o
     using page p, done d
     where o.id = p.id
       and p.created_at < $3
       and d.ids @> p.id
       and not exists (select from public.outbox_stuck s where s.outbox_id = p.id and s.discarded_at is null)
    returning o.id)
select (select count(*) from gone),
       coalesce((select max(id) from page), 0),
       coalesce((select min(id) from page where id not in (select id from gone)), 0),
       coalesce((select created_at < $3 from page order by id desc limit 1), false)
           and (select count(*) from page) = $2`

// Expired is what one step of retention did.
type Expired struct {
	// Rows were removed.
	Rows int64
	// Last is the last id that was looked at, 0 if there was none.
	Last int64
	// Kept is the lowest id among them that stayed, 0 if none did.
	Kept int64
	// More says that the last row that was looked at is old enough, so that those behind it may be
	// too.
	More bool
}

// Expire looks at the rows from an id on, at most limit, and removes those that were inserted
// before a time and need not be kept for publishing.
func (s *Session) Expire(ctx context.Context, from int64, limit int, before time.Time) (Expired, error) {
	var e Expired
	var allocated int64
	err := s.conn.QueryRow(ctx, s.allocatedSQL).Scan(&allocated)
	if err == nil {
		err = s.conn.QueryRow(ctx, expireSQL, from, limit, before, s.epoch, allocated).Scan(&e.Rows, &e.Last, &e.Kept, &e.More)
	}
	if err != nil {
		return e, fmt.Errorf("remove old rows of database %s: %w", s.database, err)
	}
	return e, nil
}

const (
	expireDiscardedSQL = `delete from public.outbox_stuck where discarded_at < $1 and next_attempt_at is null`
	expireReplaysSQL   = `delete from public.outbox_replay where finished_at < $1`
)

// ExpireRecords removes what is remembered of rows that were discarded, and of replays that were
// finished, before a time.
func (s *Session) ExpireRecords(ctx context.Context, before time.Time) error {
	for _, sql := range []string{expireDiscardedSQL, expireReplaysSQL} {
		if _, err := s.conn.Exec(ctx, sql, before); err != nil {
			return fmt.Errorf("remove old records of database %s: %w", s.database, err)
		}
	}
	return nil
}

// No table is an empty one: the relay serves databases that only send, too.
const inboxBlocksSQL = `
select coalesce(pg_relation_size(to_regclass('public.inbox')), 0) / current_setting('block_size')::bigint`

// InboxBlocks returns how many blocks the inbox has.
func (s *Session) InboxBlocks(ctx context.Context) (int64, error) {
	var blocks int64
	if err := s.conn.QueryRow(ctx, inboxBlocksSQL).Scan(&blocks); err != nil {
		return 0, fmt.Errorf("measure the inbox of database %s: %w", s.database, err)
	}
	return blocks, nil
}

// Reads these blocks and no others:
//
//	Delete on inbox
//	  ->  Result
//	        One-Time Filter: ($0 = '7'::bigint)
//	        ->  Tid Range Scan on inbox
//	              TID Cond: ((ctid >= '(0,0)'::tid) AND (ctid < '(128,0)'::tid))
const expireInboxSQL = `
delete from public.inbox
 where ctid >= $1 and ctid < $2
   and handled_at < $3
   and (select epoch from public.outbox_cursor) = $4`

// ExpireInbox forgets the messages in blocks [from, to) of the inbox that were handled before a
// time.
func (s *Session) ExpireInbox(ctx context.Context, from, to int64, before time.Time) error {
	if _, err := s.conn.Exec(ctx, expireInboxSQL, startOf(from), startOf(to), before, s.epoch); err != nil {
		return fmt.Errorf("remove old rows of the inbox of database %s: %w", s.database, err)
	}
	return nil
}

func startOf(block int64) pgtype.TID { return pgtype.TID{BlockNumber: uint32(block), Valid: true} }

// Backlog is what waits in a database.
type Backlog struct {
	Pending       int64   // ids handed out and not dealt with; some may have been rolled back
	OldestSeconds float64 // age of the oldest committed row that waits, by the database's clock
	Stuck, Parked int64
}

const backlogSQL = `
with ` + WaitingSQL + `,
counts (pending, oldest) as (select ` + CountsSQL + ` from progress p, missing m)
select c.pending, coalesce(greatest(0, extract(epoch from now() - c.oldest)), 0)::float8, s.stuck, s.parked
  from counts c
 cross join (select count(*) filter (where not parked) as stuck, count(*) filter (where parked) as parked
               from public.outbox_stuck
              where discarded_at is null) s`

// Backlog looks at what waits.
func (s *Session) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	if err := s.conn.QueryRow(ctx, backlogSQL).Scan(&b.Pending, &b.OldestSeconds, &b.Stuck, &b.Parked); err != nil {
		return b, fmt.Errorf("look at the backlog of database %s: %w", s.database, err)
	}
	return b, nil
}
