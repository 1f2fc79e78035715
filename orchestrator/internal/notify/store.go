package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// giveUpAfter is how many attempts there are: with delays of 5 s, doubled up to an hour, about two
// days.
const giveUpAfter = 57

type store struct{ db *pgxpool.Pool }

const claimPassSQL = `update notification_pass set at = now() where at <= now() - make_interval(secs => $1) * 0.9 returning true`

// claimPass reports whether it is this instance that looks now.
func (s store) claimPass(ctx context.Context, every time.Duration) (mine bool, err error) {
	err = s.db.QueryRow(ctx, claimPassSQL, every.Seconds()).Scan(&mine)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("take a turn to look for what needs a person: %w", err)
	}
	return mine, nil
}

const (
	openSQL   = `select key, source, subject, since, count, announced from notification_episodes for update`
	forgetSQL = `delete from notification_episodes where key <> all($1)`
	keepSQL   = `
insert into notification_episodes (key, source, subject, since, count, announced) values ($1, $2, $3, $4, $5, $6)
on conflict (key) do update set (source, subject, count, announced) = (excluded.source, excluded.subject, excluded.count, excluded.announced)`
	tellSQL   = `insert into notifications (id, type, subject, event) values ($1, $2, $3, $4)`
	expireSQL = `delete from notifications where created_at < now() - interval '30 days'`
)

// record replaces the open episodes by those that decide returns, and adds what there is to tell,
// in one transaction. Times are the database's.
func (s store) record(ctx context.Context, decide func(open []Episode, now time.Time) ([]Episode, []Notification)) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// Two that look at once, after a pass that took long, must not both begin an episode.
		if _, err := tx.Exec(ctx, `lock notification_pass in exclusive mode`); err != nil {
			return err
		}
		var now time.Time
		if err := tx.QueryRow(ctx, `select now()`).Scan(&now); err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, openSQL)
		open, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Episode])
		if err != nil {
			return err
		}
		next, tell := decide(open, now)
		batch := &pgx.Batch{}
		keys := []string{}
		for _, e := range next {
			keys = append(keys, e.Key)
			batch.Queue(keepSQL, e.Key, e.Source, e.Subject, e.Since, e.Count, e.Announced)
		}
		batch.Queue(forgetSQL, keys)
		for _, n := range tell {
			batch.Queue(tellSQL, n.ID, n.Type, n.Subject, string(n.Event))
		}
		batch.Queue(expireSQL)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("record what needs a person: %w", err)
	}
	return nil
}

// Due is a notification that is to be sent now.
type Due struct {
	ID       uuid.UUID
	Subject  string
	Event    []byte
	Attempts int
}

func (d *Due) givenUp() bool { return d.Attempts >= giveUpAfter }

// The delay until the next attempt is the lease of this one as well: an instance that dies while it
// sends leaves the notification to the next.
const claimDueSQL = `
update notifications set attempts = attempts + 1,
       next_attempt_at = now() + least(interval '1 hour', interval '5 seconds' * 2 ^ least(attempts, 12)) * (0.8 + 0.4 * random()) + interval '10 seconds'
 where id = (select id from notifications where sent_at is null and next_attempt_at <= now()
              order by next_attempt_at limit 1 for update skip locked)
returning id, subject, event::text::bytea, attempts`

// claimDue returns the next notification to send, nil if there is none.
func (s store) claimDue(ctx context.Context) (*Due, error) {
	rows, _ := s.db.Query(ctx, claimDueSQL)
	due, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[Due])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	if err != nil {
		return nil, fmt.Errorf("read the notification that is due: %w", err)
	}
	return due, nil
}

const (
	sentSQL   = `update notifications set sent_at = now(), error = '' where id = $1`
	failedSQL = `update notifications set error = left($2, 500), next_attempt_at = case when $3 then 'infinity' else next_attempt_at end where id = $1`
)

// settle records what came of an attempt.
func (s store) settle(ctx context.Context, due *Due, sendErr error) (err error) {
	// What was sent stays sent, also where the process is asked to end meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if sendErr == nil {
		_, err = s.db.Exec(ctx, sentSQL, due.ID)
	} else {
		_, err = s.db.Exec(ctx, failedSQL, due.ID, sendErr.Error(), due.givenUp())
	}
	if err != nil {
		return fmt.Errorf("record that notification %s was attempted: %w", due.ID, err)
	}
	return nil
}

// SentNotification is one notification, for people.
type SentNotification struct {
	ID            uuid.UUID  `json:"id"`
	Type          string     `json:"type"`
	Subject       string     `json:"subject"`
	CreatedAt     time.Time  `json:"createdAt"`
	Attempts      int        `json:"attempts"`
	NextAttemptAt *time.Time `json:"nextAttemptAt,omitempty" doc:"Absent: it was sent, or given up."`
	SentAt        *time.Time `json:"sentAt,omitempty"`
	Error         string     `json:"error,omitempty" doc:"Why the last attempt failed."`
}

// Position is where a notification stands in the list.
type Position struct {
	CreatedAt time.Time
	ID        uuid.UUID
}

const listSQL = `
select id, type, subject, created_at, attempts,
       case when sent_at is null then nullif(next_attempt_at, 'infinity') end, nullif(sent_at, 'infinity'), error
  from notifications where $1::timestamptz is null or (created_at, id) < ($1, $2) order by created_at desc, id desc limit $3`

// List returns notifications, newest first, those before a position; nil: from the newest on.
func List(ctx context.Context, db *pgxpool.Pool, before *Position, limit int) ([]SentNotification, error) {
	var at *time.Time
	var id *uuid.UUID
	if before != nil {
		at, id = &before.CreatedAt, &before.ID
	}
	rows, _ := db.Query(ctx, listSQL, at, id, limit)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SentNotification])
	if err != nil {
		return nil, fmt.Errorf("list notifications: %w", err)
	}
	return all, nil
}

// Test adds a notification that says that nothing is the matter, and returns its id.
func Test(ctx context.Context, db *pgxpool.Pool, actor string) (uuid.UUID, error) {
	n := event(TypeTest, "test", "a test", time.Now(), Detail{Summary: "A test by " + actor + ": notifications arrive."})
	if _, err := db.Exec(ctx, tellSQL, n.ID, n.Type, n.Subject, string(n.Event)); err != nil {
		return uuid.Nil, fmt.Errorf("add a notification: %w", err)
	}
	return n.ID, nil
}
