package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/outbox-relay/internal/source"
)

// Overview is a database's outbox at a glance.
type Overview struct {
	Database string `json:"database"`
	// Leader is empty, and LedSince null, while no relay leads.
	Leader   string     `json:"leader"`
	LedSince *time.Time `json:"ledSince"`
	Paused   bool       `json:"paused"`
	// PublishedUpTo is the highest id that is dealt with; Gaps counts the gaps below it.
	PublishedUpTo int64 `json:"publishedUpTo"`
	Gaps          int64 `json:"gaps"`
	// Pending are ids handed out and not dealt with, some of which may have been rolled back.
	Pending       int64      `json:"pending"`
	OldestPending *time.Time `json:"oldestPending"`
	Stuck         int64      `json:"stuck"`
	Parked        int64      `json:"parked"`
	OldestStuck   *time.Time `json:"oldestStuck"`
}

const overviewSQL = `
with ` + source.WaitingSQL + `
select case when led then p.leader else '' end, case when led then p.led_since end, p.paused, p.last - 1,
       m.gaps,` + source.CountsSQL + `,
       s.stuck, s.parked, s.oldest
  from progress p
 cross join missing m
 cross join (select ` + source.LedSQL + ` as led) l
 cross join (select count(*) filter (where not parked) as stuck, count(*) filter (where parked) as parked,
                    min(stuck_at) as oldest
               from public.outbox_stuck
              where discarded_at is null) s`

// Overview returns the outbox at a glance.
func (d *Database) Overview(ctx context.Context) (Overview, error) {
	o := Overview{Database: d.Name}
	err := d.pool.QueryRow(ctx, overviewSQL, int64(source.LeaderLock)).Scan(&o.Leader, &o.LedSince, &o.Paused, &o.PublishedUpTo, &o.Gaps,
		&o.Pending, &o.OldestPending, &o.Stuck, &o.Parked, &o.OldestStuck)
	if err != nil {
		return o, fmt.Errorf("look at the outbox of database %s: %w", d.Name, err)
	}
	return o, nil
}

// RowSummary is a row that has not been published.
type RowSummary struct {
	ID        int64     `json:"id"`
	EventID   string    `json:"eventId"`
	Topic     string    `json:"topic"`
	Key       *string   `json:"key"`
	Type      string    `json:"type"`
	CreatedAt time.Time `json:"createdAt"`
}

// Rows of the gaps come before those above the end, and each gap's before the next one's.
const pendingSQL = `
with ` + source.WaitingSQL + `
select o.id, o.event_id::text, o.topic, o.key, o.type, o.created_at
  from ((select o.*
           from gap
          cross join lateral (select * from public.outbox where id >= greatest(gap.lo, $1 + 1) and id < gap.hi order by id limit $2) o
          limit $2)
        union all
        (select o.* from progress p cross join lateral (select * from public.outbox where id >= greatest(p.last, $1 + 1) order by id limit $2) o)) o
 where not exists (select from public.outbox_stuck s where s.outbox_id = o.id)
 order by o.id
 limit $2`

// Pending lists committed rows that wait to be published, oldest first, after the row with the id
// after.
func (d *Database) Pending(ctx context.Context, after int64, limit int) ([]RowSummary, error) {
	return collect[RowSummary](ctx, d, "list pending rows", pendingSQL, after, limit)
}

// Row is all there is to know about one row.
type Row struct {
	RowSummary
	Status  string          `json:"status"`
	Headers json.RawMessage `json:"headers"`
	// Payload is the first 64 KiB of what may be much more; PayloadBytes says how much. Headers
	// that are longer than that are a string with the beginning of them.
	Payload      []byte `json:"-"` // what an API may show of it is Shown
	PayloadBytes int64  `json:"payloadBytes"`
	Shown
	ErrorCode     string     `json:"errorCode,omitzero"`
	Error         string     `json:"error,omitzero"`
	Attempts      int32      `json:"attempts,omitzero"`
	StuckAt       *time.Time `json:"stuckAt,omitzero"`
	LastAttemptAt *time.Time `json:"lastAttemptAt,omitzero"`
	NextAttemptAt *time.Time `json:"nextAttemptAt,omitzero"`
	// ParkedBehind counts the rows that wait for this one; WaitsFor is the row that this one waits
	// for.
	ParkedBehind int64  `json:"parkedBehind,omitzero"`
	WaitsFor     *int64 `json:"waitsFor,omitzero"`
}

const rowSQL = `
select o.id, o.event_id::text, o.topic, o.key, o.type, o.created_at, st.status,
       case when length(o.headers::text) <= 65536 then o.headers else to_jsonb(left(o.headers::text, 65536)) end,
       substring(o.payload from 1 for 65536), octet_length(o.payload),
       coalesce(s.error_code, ''), left(coalesce(s.error, ''), 65536), coalesce(s.attempts, 0), s.stuck_at, s.last_attempt_at, s.next_attempt_at,
       case when s.outbox_id is null or s.parked then 0
            when s.whole_topic then (select count(*) from public.outbox_stuck p where p.topic = s.topic and p.parked)
            else (select count(*) from public.outbox_stuck p where p.topic = s.topic and p.key = s.key and p.parked) end,
       case when s.parked
            then (select min(p.outbox_id) from public.outbox_stuck p
                   where p.topic = s.topic and (p.key = s.key or p.whole_topic) and p.next_attempt_at is not null) end
  from public.outbox o
  join public.outbox_status st on st.id = o.id
  left join public.outbox_stuck s on s.outbox_id = o.id
 where o.id = $1`

// Row returns one row, whatever has become of it.
func (d *Database) Row(ctx context.Context, id int64) (Row, error) {
	var r Row
	err := d.pool.QueryRow(ctx, rowSQL, id).Scan(&r.ID, &r.EventID, &r.Topic, &r.Key, &r.Type, &r.CreatedAt, &r.Status, &r.Headers, &r.Payload, &r.PayloadBytes,
		&r.ErrorCode, &r.Error, &r.Attempts, &r.StuckAt, &r.LastAttemptAt, &r.NextAttemptAt, &r.ParkedBehind, &r.WaitsFor)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, fmt.Errorf("outbox row %d of database %s: %w", id, d.Name, ErrNotFound)
	}
	if err != nil {
		return r, fmt.Errorf("read outbox row %d of database %s: %w", id, d.Name, err)
	}
	return r, nil
}
