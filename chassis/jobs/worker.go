package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/chassis/fault"
	"waybill.example/chassis/postgres"
	"waybill.example/chassis/sweep"
	"waybill.example/chassis/terminal"
)

const (
	itemTimeout = 10 * time.Second // of one attempt at one item
	pageSize    = 100              // items that are read at a time
	minBackoff  = 50 * time.Millisecond
	maxBackoff  = 5 * time.Second
	maxDetail   = 500 // bytes of a detail or an error that are kept
)

// errNotOurs says that the job was paused, cancelled or taken over.
var errNotOurs = errors.New("the job is not ours any more")

// Run works on jobs until ctx ends; then it leaves them to others at once. It returns nil.
func (j *Jobs) Run(ctx context.Context) error {
	slots := make(chan struct{}, maxRunning)
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer j.working.Wait()
	j.working.Go(func() {
		_ = sweep.Loop("jobs", j.log, func(ctx context.Context, limit int) (int, error) { // it returns nil
			return j.Expire(ctx, time.Now().Add(-Retention), limit)
		})(ctx)
	})
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-j.wake:
		}
		for len(slots) < maxRunning {
			job, ok := j.claim(ctx)
			if !ok {
				break
			}
			slots <- struct{}{}
			j.working.Go(func() {
				j.work(ctx, job)
				<-slots
				j.Wake()
			})
		}
		timer.Reset(j.poll)
	}
}

// A job that runs is another's once its lease is over: its process has died, or is frozen.
const claimSQL = `
update job set state = 'running', worker = $1, lease_until = now() + $2::interval, error = null,
    started_at = coalesce(started_at, now()), revision = revision + (state = 'queued')::int
where id = (
    select id from job
    where state in ('queued', 'running', 'paused') and kind = any($3)
      and (state = 'queued' or state = 'running' and lease_until < now())
    order by id limit 1 for update skip locked)
returning ` + columns

func (j *Jobs) claim(ctx context.Context) (Job, bool) {
	kinds := make([]string, 0, len(j.handlers))
	for kind := range j.handlers {
		kinds = append(kinds, kind)
	}
	job, err := one(ctx, j.db, claimSQL, j.me, j.lease, kinds)
	if err != nil && !errors.Is(err, ErrNotFound) && ctx.Err() == nil {
		j.log.WarnContext(ctx, "jobs cannot be looked for", "error", err)
	}
	return job, err == nil
}

// work does the items of a job, until all are done or the job is not ours any more.
func (j *Jobs) work(ctx context.Context, job Job) {
	log := j.log.With("job", job.ID, "kind", job.Kind)
	log.InfoContext(ctx, "job begins or goes on", "done", job.Done+job.NoEffect+job.Refused, "total", job.Total, "actor", job.Actor)
	err := j.items(ctx, job)
	switch {
	case ctx.Err() != nil:
		j.release(job) //nolint:contextcheck // ctx is over; this is the last write
	case errors.Is(err, errNotOurs):
		log.InfoContext(ctx, "job was paused, cancelled or taken over")
	case err != nil:
		log.ErrorContext(ctx, "job stopped", "error", err) // its lease ends, and it is taken up again
	default:
		log.InfoContext(ctx, "job finished")
	}
}

func (j *Jobs) items(ctx context.Context, job Job) error {
	next := time.Now()
	for after := 0; ; {
		items, err := j.pending(ctx, job.ID, after)
		if err != nil {
			if err := j.wait(ctx, job, maxBackoff, err); err != nil {
				return err
			}
			continue
		}
		if len(items) == 0 {
			return j.finish(ctx, job)
		}
		for _, item := range items {
			if err := j.wait(ctx, job, time.Until(next), nil); err != nil {
				return err
			}
			next = later(next.Add(time.Duration(float64(time.Second)/job.Rate)), time.Now())
			if err := j.item(ctx, job, item); err != nil {
				return err
			}
			after = item.N
		}
	}
}

// later keeps the rate after a pause: what was missed is not caught up with.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func (j *Jobs) pending(ctx context.Context, id int64, after int) ([]JobItem, error) {
	rows, err := j.db.Query(ctx, `select n, item, result, detail, at from job_item
		where job_id = $1 and n > $2 and result is null order by n limit $3`, id, after, pageSize)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[JobItem])
}

// item does one item, as often as it takes to have a result.
func (j *Jobs) item(ctx context.Context, job Job, item JobItem) error {
	backoff := minBackoff
	for attempt := 1; ; attempt++ {
		err := j.attempt(ctx, job, item, j.handlers[job.Kind].Do)
		switch {
		case err == nil, errors.Is(err, errNotOurs), ctx.Err() != nil:
			return err
		case errors.Is(err, ErrUnfit):
			return j.fail(ctx, job, err)
		}
		f := postgres.Classify(err)
		if f.Kind == fault.Conflict && (f.Attempts == 0 || attempt < f.Attempts) {
			continue // another transaction was first: judge again
		}
		if f.Attempts > 0 && attempt >= f.Attempts {
			text := err.Error()
			return j.attempt(ctx, job, item, func(context.Context, pgx.Tx, Job, string) (Result, error) {
				return Result{Outcome: OutcomeRefused, Detail: "it failed each time: " + text}, nil
			})
		}
		if err := j.wait(ctx, job, backoff, err); err != nil {
			return err
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// The job's row is written last, so that it is locked briefly. Where it is not ours any more, or
// was paused, nothing of the item remains.
const (
	resultSQL = `update job_item set result = $3, detail = nullif($4, ''), at = now() where job_id = $1 and n = $2 and result is null`
	countSQL  = `update job set done = done + ($3 = 'done')::int, no_effect = no_effect + ($3 = 'no_effect')::int,
    refused = refused + ($3 = 'refused')::int, lease_until = now() + $4::interval, error = null
where id = $1 and worker = $2 and state = 'running'`
)

func (j *Jobs) attempt(ctx context.Context, job Job, item JobItem, do HandlerFunc) error {
	ctx, cancel := context.WithTimeout(ctx, itemTimeout)
	defer cancel()
	var result Result
	err := pgx.BeginFunc(ctx, j.db, func(tx pgx.Tx) (err error) {
		if result, err = protect(ctx, tx, job, item.Item, do); err != nil {
			return err
		}
		var last pgx.Batch
		last.Queue(resultSQL, job.ID, item.N, result.Outcome, cut(result.Detail)).Exec(owned)
		last.Queue(countSQL, job.ID, j.me, string(result.Outcome), j.lease).Exec(owned)
		return tx.SendBatch(ctx, &last).Close()
	})
	if err == nil && result.Committed != nil {
		result.Committed()
	}
	return err
}

func owned(tag pgconn.CommandTag) error {
	if tag.RowsAffected() == 0 {
		return errNotOurs
	}
	return nil
}

// protect calls the handler; a panic is an error of the item.
func protect(ctx context.Context, tx pgx.Tx, job Job, item string, do HandlerFunc) (result Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return do(ctx, tx, job, item)
}

// wait lets time go by and keeps the lease. With a cause, the job's row says what it waits for.
func (j *Jobs) wait(ctx context.Context, job Job, d time.Duration, cause error) error {
	if cause != nil {
		j.log.WarnContext(ctx, "job waits", "job", job.ID, "kind", job.Kind, "error", cause)
	}
	for {
		step := min(d, j.lease/3)
		if step > 0 {
			timer := time.NewTimer(step)
			select {
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			case <-timer.C:
			}
		}
		if cause == nil && step < j.lease/3 {
			return ctx.Err() // the next item renews the lease
		}
		if err := j.renew(ctx, job, cause); err != nil {
			return err
		}
		if d -= step; d <= 0 {
			return nil
		}
	}
}

// renew extends the lease. While the database is unavailable it cannot, and nobody else can take
// the job over either.
func (j *Jobs) renew(ctx context.Context, job Job, cause error) error {
	var text string
	if cause != nil {
		text = cut(cause.Error())
	}
	tag, err := j.db.Exec(ctx, `update job set lease_until = now() + $3::interval, error = coalesce(nullif($4, ''), error)
		where id = $1 and worker = $2 and state = 'running'`, job.ID, j.me, j.lease, text)
	if err != nil {
		return ctx.Err()
	}
	return owned(tag)
}

func (j *Jobs) finish(ctx context.Context, job Job) error {
	tag, err := j.db.Exec(ctx, `update job set state = 'finished', revision = revision + 1, ended_at = now(), error = null, lease_until = null, worker = null
		where id = $1 and worker = $2 and state = 'running'
		  and not exists (select from job_item where job_id = $1 and result is null)`, job.ID, j.me)
	if err != nil {
		return fmt.Errorf("finish a job: %w", err)
	}
	return owned(tag)
}

// fail ends a job that cannot be worked on.
func (j *Jobs) fail(ctx context.Context, job Job, cause error) error {
	_, err := j.db.Exec(ctx, `update job set state = 'failed', revision = revision + 1, ended_at = now(), error = $3, lease_until = null, worker = null
		where id = $1 and worker = $2 and state = 'running'`, job.ID, j.me, cut(cause.Error()))
	return errors.Join(cause, err)
}

// release lets another process go on with a job at once.
func (j *Jobs) release(job Job) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := j.db.Exec(ctx, `update job set lease_until = now() where id = $1 and worker = $2 and state = 'running'`, job.ID, j.me)
	if err != nil {
		j.log.WarnContext(ctx, "a job is taken over only when its lease ends", "job", job.ID, "error", err)
	}
}

// cut makes a text that the database takes, and that fits a line.
func cut(text string) string {
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "") + "…"
	}
	return terminal.Clean(text)
}
