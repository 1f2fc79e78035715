package ops

import (
	"context"
	"time"
)

// StuckGroup is stuck rows of one topic that were refused with one error.
type StuckGroup struct {
	Topic     string `json:"topic"`
	ErrorCode string `json:"errorCode"`
	// Error is what the broker said of the newest of them, whose id is Example.
	Error         string     `json:"error"`
	Example       int64      `json:"example"`
	Rows          int64      `json:"rows"`
	ParkedBehind  int64      `json:"parkedBehind" doc:"Rows that wait for them."`
	FirstStuck    time.Time  `json:"firstStuck"`
	LastStuck     time.Time  `json:"lastStuck"`
	NextAttemptAt *time.Time `json:"nextAttemptAt" doc:"When the first of them is tried again."`
}

// A row that waits for two of a group is counted once, and so is one that waits for a whole topic.
const stuckGroupsSQL = `
select g.topic, g.error_code, left(e.error, 4096), g.example, g.n,
       (select count(*)
          from public.outbox_stuck p
         where p.topic = g.topic and p.parked
           and (g.whole or exists (select from public.outbox_stuck s
                                    where s.key = p.key and s.outbox_id < p.outbox_id and s.topic = g.topic
                                      and s.error_code = g.error_code and not s.parked and s.discarded_at is null))),
       g.first, g.last, g.due
  from (select topic, error_code, max(outbox_id) as example, count(*) as n, bool_or(whole_topic) as whole,
               min(stuck_at) as first, max(stuck_at) as last, min(next_attempt_at) as due
          from public.outbox_stuck
         where not parked and discarded_at is null
         group by topic, error_code) g
  join public.outbox_stuck e on e.outbox_id = g.example
 order by g.n desc, g.example desc
 limit $1`

// StuckGroups returns the stuck rows by topic and error, the largest group first.
func (d *Database) StuckGroups(ctx context.Context, limit int) ([]StuckGroup, error) {
	return collect[StuckGroup](ctx, d, "group stuck rows", stuckGroupsSQL, limit)
}

// ParkedRow is a row that waits for a stuck one.
type ParkedRow struct {
	RowSummary
	WaitsFor *int64 `json:"waitsFor" doc:"The first row that it waits for."`
}

// What waits is found as the relay finds it: by key, or by topic where that was refused.
const parkedSQL = `
select o.id, o.event_id::text, o.topic, o.key, o.type, o.created_at,
       (select min(h.outbox_id)
          from public.outbox_stuck h
         where h.topic = p.topic and (h.key = p.key or h.whole_topic) and h.next_attempt_at is not null)
  from public.outbox_stuck p
  join public.outbox o on o.id = p.outbox_id
 where p.parked and p.outbox_id > $1
   and ($3 = 0 or exists (select from public.outbox_stuck h
                           where h.outbox_id = $3 and not h.parked and h.topic = p.topic and (h.key = p.key or h.whole_topic)))
 order by p.outbox_id
 limit $2`

// Parked lists the rows that wait for stuck ones, or for the one with the id behind unless that is
// 0, oldest first, after the row with the id after.
func (d *Database) Parked(ctx context.Context, behind, after int64, limit int) ([]ParkedRow, error) {
	return collect[ParkedRow](ctx, d, "list parked rows", parkedSQL, after, limit, behind)
}

// RowStatus is a row, and what has become of it.
type RowStatus struct {
	RowSummary
	Status string `json:"status" enum:"pending,published,stuck,parked,discarded,late"`
}

const latestSQL = `
select s.id, s.event_id::text, s.topic, s.key, s.type, s.created_at, s.status
  from public.outbox_status s
 where s.id = any (array(select o.id from public.outbox o where $1 = 0 or o.id < $1 order by o.id desc limit $2))
 order by s.id desc`

// Latest lists rows, whatever has become of them, newest first, before the row with the id before;
// 0 lists the newest.
func (d *Database) Latest(ctx context.Context, before int64, limit int) ([]RowStatus, error) {
	return collect[RowStatus](ctx, d, "list the newest rows", latestSQL, before, limit)
}
