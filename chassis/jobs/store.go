package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const columns = `id, kind, parameters, actor, reason, rate, state, revision, total, done, no_effect, refused, error,
    created_at, started_at, ended_at`

const createSQL = `
with items as (select item, ordinality::int as n from unnest($6::text[]) with ordinality as t (item, ordinality)),
created as (
    insert into job (kind, parameters, actor, reason, rate, total)
    values ($1, $2, $3, $4, $5, cardinality($6::text[])) returning *),
written as (insert into job_item (job_id, n, item) select created.id, n, item from created, items)
select ` + columns + ` from created`

// querier is a transaction or a pool.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Create writes a job with its items in tx, and returns it as it is. It begins within a few seconds
// of the commit; call [Jobs.Wake] after it to begin at once.
func (j *Jobs) Create(ctx context.Context, tx pgx.Tx, s Spec) (Job, error) {
	if err := s.validate(); err != nil {
		return Job{}, err
	}
	parameters, err := json.Marshal(s.Parameters)
	if err != nil {
		return Job{}, fmt.Errorf("encode a job's parameters: %w", err)
	}
	if s.Items == nil {
		s.Items = []string{}
	}
	job, err := one(ctx, tx, createSQL, s.Kind, parameters, s.Actor, s.Reason, s.Rate, s.Items)
	if err != nil {
		return Job{}, fmt.Errorf("create a job: %w", err)
	}
	return job, nil
}

// Wake has Run look for work now.
func (j *Jobs) Wake() {
	select {
	case j.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Get returns one job, or [ErrNotFound].
func (j *Jobs) Get(ctx context.Context, id int64) (Job, error) {
	return one(ctx, j.db, `select `+columns+` from job where id = $1`, id)
}

// Filter chooses jobs. Its zero value is all of them.
type Filter struct {
	State State  // "" is any
	Kind  string // "" is any
	// Before is the id of the last job of the page before; 0 is the first page.
	Before int64
	Limit  int
}

// List returns jobs, newest first.
func (j *Jobs) List(ctx context.Context, f Filter) ([]Job, error) {
	rows, err := j.db.Query(ctx, `select `+columns+` from job
		where ($1 = '' or state = $1) and ($2 = '' or kind = $2) and ($3 = 0 or id < $3) order by id desc limit $4`,
		f.State, f.Kind, f.Before, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Job])
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return jobs, nil
}

// JobItem is one item of a job, with its result once it has one.
type JobItem struct {
	N      int        `json:"n" doc:"The order in which they are worked on; what follows it is the cursor of the next page"`
	Item   string     `json:"item"`
	Result *Outcome   `json:"result,omitempty" enum:"done,no_effect,refused" doc:"Absent: its turn has not come"`
	Detail *string    `json:"detail,omitempty" doc:"Why there was no effect, or why it was refused"`
	At     *time.Time `json:"at,omitempty"`
}

// Results returns items of a job in their order, with results or only those with the one that is
// asked for, after the n of the page before.
func (j *Jobs) Results(ctx context.Context, id int64, result Outcome, after, limit int) ([]JobItem, error) {
	rows, err := j.db.Query(ctx, `select n, item, result, detail, at from job_item
		where job_id = $1 and n > $2::bigint and ($3 = '' or result = $3) order by n limit $4`, id, after, result, limit)
	if err != nil {
		return nil, fmt.Errorf("list a job's results: %w", err)
	}
	items, err := pgx.CollectRows(rows, pgx.RowToStructByPos[JobItem])
	if err != nil {
		return nil, fmt.Errorf("list a job's results: %w", err)
	}
	return items, nil
}

// An operator's change names the states that it is for, and the revision that was looked at; 0 is
// any.
const changeSQL = `
update job set state = $2, revision = revision + 1, worker = null, lease_until = null,
    ended_at = case when $2 = 'cancelled' then now() end
where id = $1 and state = any($3) and ($4 = 0 or revision = $4) returning ` + columns

// Pause stops a job after the item in flight.
func (j *Jobs) Pause(ctx context.Context, tx pgx.Tx, id int64, seen int) (Job, error) {
	return j.change(ctx, tx, id, Paused, seen, Queued, Running)
}

// Resume lets a paused job go on.
func (j *Jobs) Resume(ctx context.Context, tx pgx.Tx, id int64, seen int) (Job, error) {
	return j.change(ctx, tx, id, Queued, seen, Paused)
}

// Cancel ends a job: what is done stays done, the other items are not touched.
func (j *Jobs) Cancel(ctx context.Context, tx pgx.Tx, id int64, seen int) (Job, error) {
	return j.change(ctx, tx, id, Cancelled, seen, Queued, Running, Paused)
}

func (j *Jobs) change(ctx context.Context, tx pgx.Tx, id int64, to State, seen int, from ...State) (Job, error) {
	job, err := one(ctx, tx, changeSQL, id, to, from, seen)
	if !errors.Is(err, ErrNotFound) {
		return job, err
	}
	job, err = one(ctx, tx, `select `+columns+` from job where id = $1`, id)
	switch {
	case err != nil:
		return Job{}, err
	case seen != 0 && job.Revision != seen:
		return job, fmt.Errorf("%w: it is %s, at revision %d", ErrChanged, job.State, job.Revision)
	default:
		return job, fmt.Errorf("%w: it is %s", ErrState, job.State)
	}
}

// Expire deletes jobs that ended before a time, with their results, and returns how many.
func (j *Jobs) Expire(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := j.db.Exec(ctx, `delete from job where id in (select id from job where ended_at < $1 order by ended_at limit $2)`, before, limit)
	if err != nil {
		return 0, fmt.Errorf("delete old jobs: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

func one(ctx context.Context, db querier, sql string, args ...any) (Job, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return Job{}, err
	}
	job, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Job])
	if errors.Is(err, pgx.ErrNoRows) {
		return Job{}, ErrNotFound
	}
	return job, err
}
