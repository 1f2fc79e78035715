package ops

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// RecentRows is how many of the newest rows are looked through for what no index has.
const RecentRows = 20_000

// RecentMessages is what the newest rows of one outbox have of an event or a trace.
type RecentMessages struct {
	Database string    `json:"database"`
	Messages []Message `json:"messages"`
	// Rows is how many rows were looked through: the newest.
	Rows int `json:"rows"`
}

// An index of event ids or traces would cost every writer for what people ask a few times a day. So
// the newest rows are looked through, by the primary key; traceparent is 00-<trace>-<span>-<flags>.
const recentSQL = `
with recent as materialized (
    select id, event_id, headers from public.outbox order by id desc limit $3),
chosen as (
    select id from recent
     where event_id = nullif($1, '')::uuid or $2 <> '' and headers ->> 'traceparent' like '__-' || $2 || '-%'
     order by id desc limit 200)
select s.id, s.event_id::text, s.topic, s.key, s.type, s.created_at, s.status,
       case when length(o.headers::text) <= 16384 then o.headers end,
       left(coalesce(s.error, ''), 4096), coalesce(s.attempts, 0), s.stuck_at, s.next_attempt_at,
       null::bytea, octet_length(o.payload)
  from public.outbox_status s
  join public.outbox o using (id)
 where s.id = any (array(select id from chosen))
 order by s.id`

// Recent returns the messages of an event or of a trace (32 hexadecimal digits) among the newest
// [RecentRows] rows; the one that is not asked for is "".
func (d *Database) Recent(ctx context.Context, event, trace string) (RecentMessages, error) {
	found := RecentMessages{Database: d.Name, Messages: []Message{}}
	err := pgx.BeginTxFunc(ctx, d.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		// However little the planner knows of the table: by the primary key, and not all of it.
		if _, err := tx.Exec(ctx, `set local enable_sort = off`); err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `select count(*) from (select from public.outbox order by id desc limit $1) as recent`, RecentRows).Scan(&found.Rows)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, recentSQL, event, trace, RecentRows)
		if err != nil {
			return err
		}
		found.Messages, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Message])
		return err
	})
	if err != nil {
		return found, fmt.Errorf("look through the newest rows of database %s: %w", d.Name, err)
	}
	return found, nil
}
