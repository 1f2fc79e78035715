package ops

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/auditlog"
)

// StuckRow is a row that the broker has refused.
type StuckRow struct {
	ID            int64      `json:"id"`
	Key           *string    `json:"key"`
	Topic         string     `json:"topic"`
	ErrorCode     string     `json:"errorCode"`
	Error         string     `json:"error"`
	Attempts      int32      `json:"attempts"`
	StuckAt       time.Time  `json:"stuckAt"`
	NextAttemptAt *time.Time `json:"nextAttemptAt"`
	// ParkedBehind counts the rows that wait for it: the later ones of its key, or all of its topic
	// if that was refused.
	ParkedBehind int64 `json:"parkedBehind"`
}

const stuckSQL = `
select s.outbox_id, s.key, s.topic, s.error_code, s.error, s.attempts, s.stuck_at, s.next_attempt_at,
       case when s.whole_topic then (select count(*) from public.outbox_stuck p where p.topic = s.topic and p.parked)
            else (select count(*) from public.outbox_stuck p where p.topic = s.topic and p.key = s.key and p.parked) end
  from public.outbox_stuck s
 where not s.parked and s.discarded_at is null and s.outbox_id > $1
 order by s.outbox_id
 limit $2`

// Stuck lists the stuck rows, oldest first, after the row with the id after.
func (d *Database) Stuck(ctx context.Context, after int64, limit int) ([]StuckRow, error) {
	return collect[StuckRow](ctx, d, "list stuck rows", stuckSQL, after, limit)
}

const statusStuck = "stuck"

// Version is another after each attempt, and when the row is stuck no more.
func (r Row) Version() string { return version(r.Status, r.Attempts) }

func version(status string, attempts int32) string { return fmt.Sprintf("%s-%d", status, attempts) }

// RefusedAgain is the Result of an [Outcome] whose row is as stuck as before.
const RefusedAgain = "refused again"

// Outcome is what was seen to become of a row.
type Outcome struct {
	ID int64 `json:"id"`
	// Result is "published", "discarded", "refused again", or "waiting" if nothing was seen in
	// time: perhaps no relay leads, or the broker is unavailable.
	Result string `json:"result"`
	Error  string `json:"error,omitzero"`
}

const (
	retryOneSQL = `
update public.outbox_stuck set next_attempt_at = now()
 where outbox_id = $1 and not parked and discarded_at is null
returning attempts`
	retryAllSQL = `
with due as (
    update public.outbox_stuck set next_attempt_at = now()
     where not parked and discarded_at is null and ($1 = '' or topic = $1) and ($2 = '' or error_code = $2)
    returning outbox_id)
select count(*), now(), case when $1 <> '' or $2 <> '' then array_agg(outbox_id) end from due`
	// Of the rows that were stuck at that moment, or of some of them: those that were refused
	// since, and those that were not tried yet.
	retriedSQL = `
select count(*) filter (where last_attempt_at > $1), count(*) filter (where last_attempt_at is null or last_attempt_at <= $1)
  from public.outbox_stuck
 where not parked and discarded_at is null and stuck_at <= $1 and ($2::bigint[] is null or outbox_id = any($2))`
)

// Retry has the relay try a stuck row now, and returns what comes of it.
func (d *Database) Retry(ctx context.Context, by By, id int64) (Outcome, error) {
	var attempts int32
	err := d.audited(ctx, by, "retry", func(tx pgx.Tx) (entry auditlog.Entry, err error) {
		if err := tx.QueryRow(ctx, retryOneSQL, id).Scan(&attempts); err != nil {
			return entry, d.notStuck(ctx, id, err)
		}
		if err := by.saw(version(statusStuck, attempts)); err != nil {
			return entry, fmt.Errorf("outbox row %d of database %s: %w", id, d.Name, err)
		}
		return auditlog.Entry{Object: object(id)}, notify(ctx, tx)
	})
	if err != nil {
		return Outcome{}, err
	}
	return d.outcome(ctx, id, func(row Row) bool { return row.Status != statusStuck || row.Attempts > attempts })
}

// Retried is what was seen to become of all stuck rows.
type Retried struct {
	Rows int64 `json:"rows" doc:"How many rows were stuck, and were to be tried."`
	// Waiting rows had not been tried when we stopped looking.
	Published int64 `json:"published" doc:"Those that are stuck no more."`
	Refused   int64 `json:"refused" doc:"Those that were refused again."`
	Waiting   int64 `json:"waiting" doc:"Those that nothing was seen of yet."`
}

// StuckFilter chooses stuck rows. What is empty does not restrict.
type StuckFilter struct {
	Topic     string `json:"topic,omitempty"`
	ErrorCode string `json:"errorCode,omitempty"`
}

// RetryAll has the relay try every stuck row that a filter chooses now, and returns what comes of
// it.
func (d *Database) RetryAll(ctx context.Context, by By, f StuckFilter) (Retried, error) {
	var r Retried
	var asked time.Time
	var ids []int64 // nil: all that are stuck
	err := d.audited(ctx, by, "retry", func(tx pgx.Tx) (entry auditlog.Entry, err error) {
		if err := tx.QueryRow(ctx, retryAllSQL, f.Topic, f.ErrorCode).Scan(&r.Rows, &asked, &ids); err != nil {
			return entry, fmt.Errorf("retry all stuck rows of database %s: %w", d.Name, err)
		}
		entry = auditlog.Entry{Object: "outbox", Result: fmt.Sprintf("%d stuck rows to be tried", r.Rows)}
		if f != (StuckFilter{}) {
			entry.After = f
		}
		return entry, notify(ctx, tx)
	})
	if err != nil || r.Rows == 0 {
		return r, err
	}
	r.Waiting = r.Rows
	_, err = observe(ctx, d.Patience, func(ctx context.Context) (bool, error) {
		err := d.pool.QueryRow(ctx, retriedSQL, asked, ids).Scan(&r.Refused, &r.Waiting)
		return err == nil && r.Waiting == 0, err
	})
	if err != nil {
		return r, fmt.Errorf("see what became of the stuck rows of database %s: %w", d.Name, err)
	}
	r.Waiting = min(r.Waiting, r.Rows)
	r.Published = max(0, r.Rows-r.Refused-r.Waiting)
	return r, nil
}

const discardSQL = `
update public.outbox_stuck set discarded_at = now(), next_attempt_at = now()
 where outbox_id = $1 and not parked and discarded_at is null
returning coalesce(error_code, ''), coalesce(error, ''), attempts`

// Discard gives a stuck row up: it is never sent, and what is parked behind it goes out. A reason
// is required.
func (d *Database) Discard(ctx context.Context, by By, id int64) (Outcome, error) {
	if strings.TrimSpace(by.Reason) == "" {
		return Outcome{}, fmt.Errorf("%w: discarding a row needs a reason", ErrInvalid)
	}
	err := d.audited(ctx, by, "discard", func(tx pgx.Tx) (entry auditlog.Entry, err error) {
		before := stuckOrNot{Status: statusStuck}
		if err := tx.QueryRow(ctx, discardSQL, id).Scan(&before.Code, &before.Error, &before.Attempts); err != nil {
			return entry, d.notStuck(ctx, id, err)
		}
		if err := by.saw(version(before.Status, before.Attempts)); err != nil {
			return entry, fmt.Errorf("outbox row %d of database %s: %w", id, d.Name, err)
		}
		after := stuckOrNot{Status: "discarded"}
		return auditlog.Entry{Object: object(id), Before: before, After: after}, notify(ctx, tx)
	})
	if err != nil {
		return Outcome{}, err
	}
	return d.outcome(ctx, id, func(row Row) bool { return row.NextAttemptAt == nil })
}

// stuckOrNot is what the audit log says of a row.
type stuckOrNot struct {
	Status   string `json:"status"`
	Code     string `json:"errorCode,omitempty"`
	Error    string `json:"error,omitempty"`
	Attempts int32  `json:"attempts,omitempty"`
}

// object is the name of a row in the audit log.
func object(id int64) string { return "outbox/" + strconv.FormatInt(id, 10) }

// notStuck says what a row is that was expected to be stuck.
func (d *Database) notStuck(ctx context.Context, id int64, err error) error {
	if err != pgx.ErrNoRows { //nolint:errorlint // QueryRow returns it as it is
		return fmt.Errorf("change stuck row %d of database %s: %w", id, d.Name, err)
	}
	row, err := d.Row(ctx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("outbox row %d of database %s is %s, not stuck: %w", id, d.Name, row.Status, ErrConflict)
}

func (d *Database) outcome(ctx context.Context, id int64, settled func(Row) bool) (Outcome, error) {
	var row Row
	seen, err := observe(ctx, d.Patience, func(ctx context.Context) (bool, error) {
		var err error
		row, err = d.Row(ctx, id)
		return err == nil && settled(row), err
	})
	switch {
	case err != nil:
		return Outcome{}, err
	case !seen:
		return Outcome{ID: id, Result: "waiting", Error: row.Error}, nil
	case row.Status == statusStuck:
		return Outcome{ID: id, Result: RefusedAgain, Error: row.Error}, nil
	default:
		return Outcome{ID: id, Result: row.Status}, nil
	}
}

const (
	hasStuckSQL = `select count(*) = $2 from public.outbox_stuck where outbox_id = any($1::bigint[]) and not parked and discarded_at is null`
	hasRowSQL   = `select exists (select from public.outbox where id = $1)`
)

// HasStuck says whether all of these rows are stuck here.
func (d *Database) HasStuck(ctx context.Context, ids []int64) (has bool, err error) {
	if err := d.pool.QueryRow(ctx, hasStuckSQL, ids, len(ids)).Scan(&has); err != nil {
		return false, fmt.Errorf("look for stuck rows of database %s: %w", d.Name, err)
	}
	return has, nil
}

// HasRow says whether there is such a row.
func (d *Database) HasRow(ctx context.Context, id int64) (has bool, err error) {
	if err := d.pool.QueryRow(ctx, hasRowSQL, id).Scan(&has); err != nil {
		return false, fmt.Errorf("look for outbox row %d of database %s: %w", id, d.Name, err)
	}
	return has, nil
}
