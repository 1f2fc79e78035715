package ops

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/auditlog"
	"waybill.example/outbox-relay/internal/source"
)

// Plan is what a replay would do.
type Plan struct {
	Rows int64 `json:"rows"`
	// Effects say, for each consumer whose inbox could be read, how many of the rows it knows.
	// Sampled is how many of the rows, the first ones, that was asked of, if not of all.
	Effects []Effect `json:"effects"`
	Sampled int64    `json:"sampled,omitzero"`
	// Unreachable names databases whose inboxes could not be read.
	Unreachable []string `json:"unreachable"`
}

// Effect is what a consumer would do with replayed rows.
type Effect struct {
	Database string `json:"database"`
	Consumer string `json:"consumer"`
	// Known rows have been handled before and would be ignored; the New ones would take effect.
	Known int64 `json:"known"`
	New   int64 `json:"new"`
}

// PlanReplay counts what a replay would send, and what the consumers with an inbox in one of the
// given databases would make of it. It changes nothing.
func (d *Database) PlanReplay(ctx context.Context, s source.Selection, topic *string, inboxes []*Database) (Plan, error) {
	plan := Plan{Effects: []Effect{}, Unreachable: []string{}}
	if err := s.Validate(); err != nil {
		return plan, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var err error
	if plan.Rows, err = d.countSelected(ctx, s); err != nil || len(inboxes) == 0 {
		return plan, err
	}
	counts := make([]inboxCount, len(inboxes))
	last, asked := int64(0), int64(0)
	for {
		events, err := d.selectEvents(ctx, s, topic, last)
		if err != nil {
			return plan, err
		}
		for i, inbox := range inboxes {
			counts[i].add(ctx, inbox, events)
		}
		asked += int64(len(events))
		if len(events) < planPage {
			break
		}
		if asked >= planSample {
			plan.Sampled = asked
			break
		}
		last = events[len(events)-1].ID
	}
	for i, inbox := range inboxes {
		if counts[i].err != nil {
			plan.Unreachable = append(plan.Unreachable, inbox.Name)
			continue
		}
		plan.Effects = append(plan.Effects, counts[i].effects(inbox.Name)...)
	}
	return plan, nil
}

const (
	planPage   = 10_000
	planSample = 100_000
)

func (d *Database) countSelected(ctx context.Context, s source.Selection) (rows int64, err error) {
	where, args := s.Where(nil)
	if err := d.pool.QueryRow(ctx, `select count(*) from public.outbox o where `+where, args...).Scan(&rows); err != nil {
		return 0, fmt.Errorf("count rows to replay of database %s: %w", d.Name, err)
	}
	return rows, nil
}

// event is what an inbox can tell a row by.
type event struct {
	ID      int64
	EventID string
	Topic   string
}

func (d *Database) selectEvents(ctx context.Context, s source.Selection, topic *string, after int64) ([]event, error) {
	where, args := s.Where([]any{after, planPage, topic})
	return collect[event](ctx, d, "select rows to replay", `
select o.id, o.event_id::text, coalesce($3, o.topic)
  from public.outbox o
 where o.id > $1
   and `+where+`
 order by o.id
 limit $2`, args...)
}

// Job is a replay that runs in the background.
type Job struct {
	ID          int64      `json:"id"`
	State       string     `json:"state"`
	Total       int64      `json:"total"`
	Sent        int64      `json:"sent"`
	Topic       *string    `json:"topic"`
	Rate        int32      `json:"rate"`
	Error       string     `json:"error,omitzero"`
	RequestedAt time.Time  `json:"requestedAt"`
	FinishedAt  *time.Time `json:"finishedAt"`
}

const (
	jobColumns     = `id, state, total, sent, topic, rate, error, requested_at, finished_at`
	startReplaySQL = `
insert into public.outbox_replay (from_id, to_id, key, since, until, topic, rate, total)
values ($1, $2, $3, $4, $5, $6, $7, $8)
returning ` + jobColumns
	highestSQL = `select coalesce(upper(published), 1) - 1 from public.outbox_cursor`
)

// DefaultRate is how many rows a second a replay sends unless told otherwise.
const DefaultRate = 5000

// StartReplay has the leading relay send the selected rows again, in order, to topic or where they
// went. Rows that are published from now on are not among them. A reason is required.
func (d *Database) StartReplay(ctx context.Context, by By, s source.Selection, topic *string, rate int) (Job, error) {
	switch {
	case rate <= 0:
		return Job{}, fmt.Errorf("%w: the rate must be at least 1 row a second", ErrInvalid)
	case strings.TrimSpace(by.Reason) == "":
		return Job{}, fmt.Errorf("%w: a replay needs a reason", ErrInvalid)
	}
	// Bounded before it is counted, or rows that are published meanwhile would be sent and not
	// counted.
	highest, err := d.highest(ctx)
	if err != nil {
		return Job{}, err
	}
	if s.Validate() == nil && (s.ToID == nil || *s.ToID > highest) {
		s.ToID = &highest
	}
	plan, err := d.PlanReplay(ctx, s, topic, nil)
	if err != nil {
		return Job{}, err
	}
	var job Job
	err = d.audited(ctx, by, "replay", func(tx pgx.Tx) (entry auditlog.Entry, err error) {
		rows, _ := tx.Query(ctx, startReplaySQL, s.FromID, s.ToID, s.Key, s.Since, s.Until, topic, rate, plan.Rows)
		if job, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Job]); err != nil {
			return entry, fmt.Errorf("start a replay in database %s: %w", d.Name, err)
		}
		after := map[string]any{"rows": plan.Rows, "selection": s, "topic": topic, "rate": rate}
		return auditlog.Entry{Object: replayObject(job.ID), After: after}, notify(ctx, tx)
	})
	return job, err
}

// replayObject is the name of a replay in the audit log.
func replayObject(id int64) string { return "replay/" + strconv.FormatInt(id, 10) }

// highest is the highest id that is published.
func (d *Database) highest(ctx context.Context) (id int64, err error) {
	if err := d.pool.QueryRow(ctx, highestSQL).Scan(&id); err != nil {
		return 0, fmt.Errorf("read the cursor of database %s: %w", d.Name, err)
	}
	return id, nil
}

const (
	jobsSQL = `select ` + jobColumns + ` from public.outbox_replay where ($1 = 0 or id < $1) order by id desc limit $2`
	jobSQL  = `select ` + jobColumns + ` from public.outbox_replay where id = $1`
)

// Jobs lists the replays before the one with the id before, newest first; 0 lists the newest.
func (d *Database) Jobs(ctx context.Context, before int64, limit int) ([]Job, error) {
	return collect[Job](ctx, d, "list replays", jobsSQL, before, limit)
}

// Job returns one replay.
func (d *Database) Job(ctx context.Context, id int64) (Job, error) {
	rows, _ := d.pool.Query(ctx, jobSQL, id)
	job, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Job])
	if errors.Is(err, pgx.ErrNoRows) {
		return job, fmt.Errorf("replay %d of database %s: %w", id, d.Name, ErrNotFound)
	}
	if err != nil {
		return job, fmt.Errorf("read replay %d of database %s: %w", id, d.Name, err)
	}
	return job, nil
}

const cancelReplaySQL = `
update public.outbox_replay set state = 'cancelled', finished_at = now()
 where id = $1 and state in ('waiting', 'running')
returning ` + jobColumns

// CancelReplay ends a replay. What it has sent is sent.
func (d *Database) CancelReplay(ctx context.Context, by By, id int64) (Job, error) {
	var job Job
	err := d.audited(ctx, by, "replay-cancel", func(tx pgx.Tx) (entry auditlog.Entry, err error) {
		rows, _ := tx.Query(ctx, cancelReplaySQL, id)
		job, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Job])
		if errors.Is(err, pgx.ErrNoRows) {
			if job, err = d.Job(ctx, id); err != nil {
				return entry, err
			}
			return entry, fmt.Errorf("replay %d of database %s is %s already: %w", id, d.Name, job.State, ErrConflict)
		}
		if err != nil {
			return entry, fmt.Errorf("cancel replay %d of database %s: %w", id, d.Name, err)
		}
		return auditlog.Entry{Object: replayObject(id), Result: fmt.Sprintf("%d rows were sent", job.Sent)}, nil
	})
	return job, err
}
