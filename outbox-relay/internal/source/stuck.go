package source

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/outbox-relay/internal/cursor"
)

// Stuck is a row quarantined: refused by the broker, or parked behind an earlier row of its key.
type Stuck struct {
	ID     int64
	Key    *string
	Topic  string
	Parked bool
	// Whole says that every row of the topic would be refused: rows of any key park behind this
	// one.
	Whole bool
	Code  string
	Error string
}

// The first attempt was the one that failed just now. Each further one comes twice as late, up to
// five minutes, and a little off, so that rows that were refused together are not all tried at
// once. A row that was discarded while its attempt was under way stays due, so that its followers
// need not wait for an attempt that will not come.
const setAsideSQL = `
insert into public.outbox_stuck as s (outbox_id, key, topic, parked, whole_topic, error_code, error, attempts, last_attempt_at, next_attempt_at)
select id, key, topic, parked, whole_topic, code, error,
       case when parked then 0 else 1 end,
       case when parked then null else now() end,
       case when parked then null else now() + interval '1 second' end
  from unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[], $7::boolean[])
       as r (id, key, topic, parked, code, error, whole_topic)
on conflict (outbox_id) do update
   set parked = false, whole_topic = excluded.whole_topic, error_code = excluded.error_code, error = excluded.error,
       attempts = s.attempts + 1, last_attempt_at = now(),
       next_attempt_at = case when s.discarded_at is null
           then now() + least(interval '5 minutes', interval '1 second' * 2 ^ least(s.attempts, 10)) * (0.9 + 0.2 * random())
           else now() end
 where not excluded.parked`

func quarantine(ctx context.Context, tx pgx.Tx, rows []Stuck) error {
	if len(rows) == 0 {
		return nil
	}
	var (
		ids                  = make([]int64, len(rows))
		keys                 = make([]*string, len(rows))
		parked, whole        = make([]bool, len(rows)), make([]bool, len(rows))
		topics, codes, texts = make([]string, len(rows)), make([]string, len(rows)), make([]string, len(rows))
	)
	for i, r := range rows {
		ids[i], keys[i], topics[i], parked[i], codes[i], texts[i], whole[i] = r.ID, r.Key, r.Topic, r.Parked, r.Code, r.Error, r.Whole
	}
	if _, err := tx.Exec(ctx, setAsideSQL, ids, keys, topics, parked, codes, texts, whole); err != nil {
		return fmt.Errorf("set rows aside: %w", err)
	}
	return nil
}

const (
	// A row that was deleted by hand will not be sent any more, and lets its followers go as a
	// discarded one does.
	headsSQL = `
select s.outbox_id, s.discarded_at is not null or not exists (select from public.outbox o where o.id = s.outbox_id), s.key, s.topic, s.whole_topic
  from public.outbox_stuck s
 where s.next_attempt_at is not null`
	// Where a leader ended between publishing a stuck row and its followers, or had parked rows of
	// a topic that the broker did not take at the time.
	orphanedSQL = `
select distinct p.topic
  from public.outbox_stuck p
 where p.parked
   and not exists (select from public.outbox_stuck h where h.topic = p.topic and h.whole_topic and h.next_attempt_at is not null)
   and not exists (select from public.outbox_stuck h
                    where h.key = p.key and h.topic = p.topic and h.outbox_id < p.outbox_id and h.next_attempt_at is not null)`
	anyStuckSQL = `select exists (select from public.outbox_stuck where next_attempt_at is not null)`
)

// AnyStuck says whether a row is stuck.
func (s *Session) AnyStuck(ctx context.Context) (found bool, err error) {
	if err := s.conn.QueryRow(ctx, anyStuckSQL).Scan(&found); err != nil {
		return false, fmt.Errorf("look for stuck rows of database %s: %w", s.database, err)
	}
	return found, nil
}

// Heads returns the stuck rows, behind which others may be parked.
func (s *Session) Heads(ctx context.Context) ([]Due, error) {
	rows, _ := s.conn.Query(ctx, headsSQL)
	heads, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Due])
	if err != nil {
		return nil, fmt.Errorf("read the stuck rows of database %s: %w", s.database, err)
	}
	return heads, nil
}

// orphaned returns the topics that have parked rows without a stuck row that these could be waiting
// for.
func (s *Session) orphaned(ctx context.Context) ([]string, error) {
	rows, _ := s.conn.Query(ctx, orphanedSQL)
	topics, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the parked rows of database %s: %w", s.database, err)
	}
	return topics, nil
}

// Due is a stuck row whose next attempt is due.
type Due struct {
	ID int64
	// Discarded says that an operator has given the row up, or has deleted it.
	Discarded bool
	// Key and Topic are the row's, and Whole says that its whole topic was refused.
	Key   *string
	Topic string
	Whole bool
}

const dueSQL = headsSQL + `
   and next_attempt_at <= now()
   and outbox_id <> all($2::bigint[])
   and (discarded_at is not null or outbox_id <> all($3::bigint[]))
 order by next_attempt_at
 limit $1`

// Due returns stuck rows to be looked at again, those that are overdue most first: none of those
// that are being tried, and of those that rest only the ones that were discarded meanwhile.
func (s *Session) Due(ctx context.Context, limit int, tried, resting []int64) ([]Due, error) {
	rows, _ := s.conn.Query(ctx, dueSQL, limit, tried, resting)
	due, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Due])
	if err != nil {
		return nil, fmt.Errorf("read the stuck rows of database %s that are due: %w", s.database, err)
	}
	return due, nil
}

const (
	readByIDSQL        = `select ` + rowColumns + ` from public.outbox where id = any($1::bigint[]) order by id`
	readParkedTopicSQL = `
select ` + rowColumns + `
  from public.outbox
 where id in (select outbox_id from public.outbox_stuck where topic = $1 and parked and outbox_id > $2 order by outbox_id limit $3)
 order by id`
	readParkedKeysSQL = `
select ` + rowColumns + `
  from public.outbox
 where id in (select s.outbox_id
                from unnest($1::text[], $2::text[]) as released (topic, key)
                join public.outbox_stuck s on s.key = released.key and s.topic = released.topic
               where s.parked and s.outbox_id > $3
               order by s.outbox_id
               limit $4)
 order by id`
)

// The rows of a topic that wait for it, and not for a row of their key.
const firstParkedSQL = `
select ` + rowColumns + `
  from public.outbox
 where id = (select p.outbox_id
               from public.outbox_stuck p
              where p.topic = $1 and p.parked
                and not exists (select from public.outbox_stuck h
                                 where h.key = p.key and h.topic = p.topic and h.outbox_id < p.outbox_id and h.next_attempt_at is not null)
              order by p.outbox_id
              limit 1)`

// FirstParked reads the first row that is parked because its topic waits into an empty batch, if
// there is one.
func (s *Session) FirstParked(ctx context.Context, topic string, batch *Batch) error {
	return s.collect(ctx, batch, firstParkedSQL, topic)
}

// ReadByID reads rows by their ids into an empty batch with room for them.
func (s *Session) ReadByID(ctx context.Context, ids []int64, batch *Batch) error {
	return s.collect(ctx, batch, readByIDSQL, ids)
}

// ReadParkedTopic reads the first parked rows of a topic above an id into an empty batch with room
// for limit of them.
func (s *Session) ReadParkedTopic(ctx context.Context, topic string, after int64, limit int, batch *Batch) error {
	return s.collect(ctx, batch, readParkedTopicSQL, topic, after, limit)
}

// ReadParkedKeys does so with the parked rows of keys, each of its topic.
func (s *Session) ReadParkedKeys(ctx context.Context, topics, keys []string, after int64, limit int, batch *Batch) error {
	return s.collect(ctx, batch, readParkedKeysSQL, topics, keys, after, limit)
}

// collect reads rows that are few, in the columns and the format of Read.
func (s *Session) collect(ctx context.Context, batch *Batch, sql string, args ...any) error {
	rows, err := s.conn.Query(ctx, sql, append([]any{pgx.QueryResultFormats{1, 1, 1, 1, 1, 1, 1, 1, 1}}, args...)...)
	if err != nil {
		return fmt.Errorf("read outbox rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if _, err := batch.add(rows.RawValues(), &s.names); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read outbox rows: %w", err)
	}
	return nil
}

const (
	unstickSQL = `delete from public.outbox_stuck where outbox_id = any($1::bigint[]) and discarded_at is null`
	letGoSQL   = `update public.outbox_stuck set next_attempt_at = null where outbox_id = any($1::bigint[]) and discarded_at is not null`
)

// unstick takes rows that are published out of the stuck ones, and closes those that were
// discarded.
func unstick(ctx context.Context, tx pgx.Tx, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, unstickSQL, ids)
	if err == nil {
		_, err = tx.Exec(ctx, letGoSQL, ids)
	}
	if err != nil {
		return fmt.Errorf("release stuck rows: %w", err)
	}
	return nil
}

// Ids that were given up, and whose rows are there after all. Entries of the last quarter of an
// hour are looked at each time, where late rows are to be expected if anywhere; of the older ones a
// few thousand, so that a look costs the same however many there are, and goes round all of them.
const (
	readLateSQL = `
with old as materialized (
    select id, ids from public.outbox_closed where id > $2 and closed_at < now() - interval '15 minutes' order by id limit $3),
looked as materialized (
    select ids from old
    union all
    select ids from public.outbox_closed where closed_at >= now() - interval '15 minutes')
select ` + rowColumns + `
  from public.outbox
 where id in (select o.id
                from looked l
               cross join lateral unnest(l.ids) as gap
               cross join lateral (select id from public.outbox where id >= lower(gap) and id < upper(gap) order by id limit $1) o
               limit $1)
 order by id`
	nextClosedSQL = `
select max(id) from (
    select id from public.outbox_closed where id > $1 and closed_at < now() - interval '15 minutes' order by id limit $2) old`
	forgetLateSQL  = `update public.outbox_closed set ids = ids - $1::text::int8multirange where ids && $1::text::int8multirange`
	forgetEmptySQL = `delete from public.outbox_closed where isempty(ids) and $1 <> ''`
	// What has a row is not forgotten, however old it is: the next look finds it.
	forgetClosedSQL = `
delete from public.outbox_closed c
 where closed_at < $1
   and not exists (select from unnest(c.ids) as gap
                    cross join lateral (select from public.outbox where id >= lower(gap) and id < upper(gap) limit 1) o)`
	lateEntries = 5000
)

// ReadLate reads rows that became visible after their ids were given up as rolled back. Of what was
// given up long ago it looks at a part, behind the entry after, and returns behind which entry to
// go on: 0, when it has come around.
func (s *Session) ReadLate(ctx context.Context, after int64, limit int, batch *Batch) (next int64, err error) {
	var last *int64
	if err := s.conn.QueryRow(ctx, nextClosedSQL, after, lateEntries).Scan(&last); err != nil {
		return after, fmt.Errorf("look at given up ids of database %s: %w", s.database, err)
	}
	if err := s.collect(ctx, batch, readLateSQL, limit, after, lateEntries); err != nil || last == nil {
		return 0, err
	}
	return *last, nil
}

// ForgetClosed forgets what was given up before a time, and has not come since.
func (s *Session) ForgetClosed(ctx context.Context, before time.Time) error {
	if _, err := s.conn.Exec(ctx, forgetClosedSQL, before); err != nil {
		return fmt.Errorf("forget given up ids of database %s: %w", s.database, err)
	}
	return nil
}

func forgetLate(ctx context.Context, tx pgx.Tx, late *cursor.Set) error {
	if late.Empty() {
		return nil
	}
	for _, sql := range []string{forgetLateSQL, forgetEmptySQL} {
		if _, err := tx.Exec(ctx, sql, late.String()); err != nil {
			return fmt.Errorf("forget rows that came late: %w", err)
		}
	}
	return nil
}
