package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// SchemaVersion is the version of the migration set "outbox" that this package needs.
const SchemaVersion = 12

// Store is the dead letters in one database, for operators. It is safe for concurrent use.
type Store struct{ db *pgxpool.Pool }

// NewStore returns the dead letters in db.
func NewStore(db *pgxpool.Pool) *Store { return &Store{db} }

var (
	// ErrNotFound says that there is no such dead letter.
	ErrNotFound = errors.New("no such dead letter")
	// ErrRevision says that a dead letter is not what the operator has seen.
	ErrRevision = errors.New("the dead letter has changed meanwhile")
	// ErrNotWhole says that a message was cut, so that it cannot be redriven from here.
	ErrNotWhole = errors.New("the message was cut when it was set aside")
)

// FirstError says that an earlier message of the same topic and key is dead: redriven now, this one
// would overtake it.
type FirstError struct{ ID int64 }

func (e *FirstError) Error() string {
	return fmt.Sprintf("dead letter %d has the same topic and key and is in front of this one: redrive or discard that first", e.ID)
}

// Change says who changes a dead letter and why.
type Change struct {
	// Revision is what the operator has seen; 0: whatever it is.
	Revision int
	Note     string
	// Audit, if set, is called in the transaction of the change.
	Audit func(ctx context.Context, tx pgx.Tx, before, after Letter) error
}

// Redrive has a dead letter applied again, as soon as it is the first of its queue: by a redriver,
// which has the returned letter's KeyID as its queue.
func (s *Store) Redrive(ctx context.Context, id int64, c Change) (after Letter, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		after, err = RedriveIn(ctx, tx, id, c)
		return err
	})
	return after, err
}

// RedriveIn is [Store.Redrive] in the caller's transaction: nobody works the queue off before that
// is committed.
func RedriveIn(ctx context.Context, tx pgx.Tx, id int64, c Change) (Letter, error) {
	return change(ctx, tx, id, Redrive, c, func(l Letter) error {
		if !l.Whole {
			return ErrNotWhole
		}
		return first(ctx, tx, l)
	})
}

// Discard has a dead letter, or a parked message, never applied: also not where Kafka delivers it
// once more. What waits behind it goes on.
func (s *Store) Discard(ctx context.Context, id int64, c Change) (after Letter, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		after, err = DiscardIn(ctx, tx, id, c)
		return err
	})
	return after, err
}

// DiscardIn is [Store.Discard] in the caller's transaction.
func DiscardIn(ctx context.Context, tx pgx.Tx, id int64, c Change) (Letter, error) {
	return change(ctx, tx, id, Discard, c, func(l Letter) error { return l.recordHandled(ctx, tx) })
}

const changeSQL = `
update dead_letters set state = $2, note = case when $3 = '' then note else $3 end, key_id = $4, superseded_by = $5,
    revision = revision + 1, changed_at = now()
where id = $1`

// change takes the lock of the queue, checks, and does it.
func change(ctx context.Context, tx pgx.Tx, id int64, action Action, c Change, check func(Letter) error) (Letter, error) {
	before, state, err := c.prepare(ctx, tx, id, action)
	if err == nil {
		err = check(before)
	}
	if err != nil {
		return before, fmt.Errorf("%s dead letter %d: %w", action, id, err)
	}
	after, err := before.move(ctx, tx, state, c.Note, nil)
	if err == nil && c.Audit != nil {
		err = c.Audit(ctx, tx, before, after)
	}
	if err != nil {
		return before, fmt.Errorf("%s dead letter %d: %w", action, id, err)
	}
	return after, nil
}

// prepare returns the letter, whose queue is locked, and the state that it will have.
func (c Change) prepare(ctx context.Context, tx pgx.Tx, id int64, action Action) (Letter, State, error) {
	before, err := hold(ctx, tx, id)
	if err != nil {
		return before, "", err
	}
	if c.Revision != 0 && c.Revision != before.Revision {
		return before, "", ErrRevision
	}
	state, err := Next(before.State, action)
	return before, state, err
}

// move writes the new state. One that nothing waits for gets a queue of its own when it is
// redriven.
func (l Letter) move(ctx context.Context, tx pgx.Tx, state State, note string, by *int64) (Letter, error) {
	batch := &pgx.Batch{}
	if l.KeyID == nil && state == Parked {
		own := uuid.New()
		l.KeyID = &own
		batch.Queue(openSQL, l.Consumer, raw([]uuid.UUID{own}))
	}
	batch.Queue(changeSQL, l.ID, state, note, l.KeyID, by)
	if l.KeyID != nil {
		Settle(batch, l.Consumer, *l.KeyID)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return l, err
	}
	return get(ctx, tx, l.ID)
}

// hold returns a letter whose queue is locked.
func hold(ctx context.Context, tx pgx.Tx, id int64) (Letter, error) {
	l, err := get(ctx, tx, id)
	if err != nil {
		return l, err
	}
	if l.KeyID != nil {
		batch := &pgx.Batch{}
		Lock(batch, l.Consumer, []uuid.UUID{*l.KeyID}, make(map[uuid.UUID]bool))
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return l, err
		}
	} else if _, err := tx.Exec(ctx, `select from dead_letters where id = $1 for update`, id); err != nil {
		return l, err
	}
	return get(ctx, tx, id) // as it is now that nobody else changes it
}

const getSQL = selectSQL + `where id = $1`

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func get(ctx context.Context, db querier, id int64) (Letter, error) {
	rows, err := db.Query(ctx, getSQL, id)
	if err != nil {
		return Letter{}, err
	}
	l, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return l, ErrNotFound
	}
	return l, err
}

const firstSQL = `
select id from dead_letters
where consumer = $1 and key_id = $2 and state = 'dead' and place < $3
order by place limit 1`

// first returns a [*FirstError] where a dead letter is in front.
func first(ctx context.Context, tx pgx.Tx, l Letter) error {
	if l.KeyID == nil {
		return nil
	}
	var id int64
	err := tx.QueryRow(ctx, firstSQL, l.Consumer, l.KeyID, l.Place).Scan(&id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return &FirstError{id}
}

const handledSQL = `
insert into inbox (event_id, consumer, topic, "partition", "offset") values ($1, $2, $3, $4, $5) on conflict do nothing`

// recordHandled records a message that is not to be applied as handled: Kafka may deliver it once
// more. One that could not be read is recorded under its position already.
func (l Letter) recordHandled(ctx context.Context, tx pgx.Tx) error {
	if !l.Decoded || l.EventID == nil {
		return nil
	}
	_, err := tx.Exec(ctx, handledSQL, l.EventID, l.Consumer, l.Topic, l.Partition, l.Offset)
	return err
}

// Edited is what an edited copy has in place of the message's own.
type Edited struct {
	EventID uuid.UUID
	Type    string
	Headers []Header
	Payload []byte
}

const copySQL = `
insert into dead_letters (consumer, topic, "partition", "offset", sent_at, key, type, event_id, decoded, headers, payload,
    payload_bytes, whole, key_id, replaces, state, reason, cause, failures, note)
select consumer, topic, "partition", "offset", sent_at, key, $2, $3, true, $4::json, $5::bytea,
    octet_length($5::bytea), true, key_id, place, state, reason, cause, failures, $6
from dead_letters where id = $1
returning id`

// Edit puts an edited copy of an open message in its place, under an event id of its own. Both are
// kept. The copy is in the state that the message was in: one that was dead has to be redriven.
func (s *Store) Edit(ctx context.Context, id int64, e Edited, c Change) (edited Letter, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		before, state, err := c.prepare(ctx, tx, id, Edit)
		if err != nil {
			return err
		}
		if err := before.recordHandled(ctx, tx); err != nil {
			return err
		}
		if edited, err = before.copy(ctx, tx, e, c.Note); err != nil {
			return err
		}
		if _, err := before.move(ctx, tx, state, c.Note, &edited.ID); err != nil || c.Audit == nil {
			return err
		}
		return c.Audit(ctx, tx, before, edited)
	})
	if err != nil {
		return Letter{}, fmt.Errorf("edit dead letter %d: %w", id, err)
	}
	return edited, nil
}

func (l Letter) copy(ctx context.Context, tx pgx.Tx, e Edited, note string) (Letter, error) {
	m := Message{Type: e.Type, Headers: e.Headers, Payload: e.Payload, Whole: true}.bounded()
	if !m.Whole {
		return Letter{}, ErrNotWhole
	}
	headers, err := encodeHeaders(m.Headers)
	if err != nil {
		return Letter{}, err
	}
	var id int64
	if err := tx.QueryRow(ctx, copySQL, l.ID, m.Type, e.EventID, headers, m.Payload, note).Scan(&id); err != nil {
		return Letter{}, err
	}
	return get(ctx, tx, id)
}

const sweepSQL = `
delete from dead_letters where id in (
    select id from dead_letters
    where state in ('redriven', 'discarded', 'superseded') and changed_at < now() - $1::interval
    order by changed_at limit $2 for update skip locked)`

const sweepNotesSQL = `
delete from dead_letter_notes n where changed_at < now() - $1::interval and not exists (
    select from dead_letters d where d.consumer = n.consumer and d.topic = n.topic and d.type = n.type and d.cause = n.cause)`

// Sweep removes up to limit messages that were redriven, discarded or superseded longer ago than
// retention, and returns how many. Open ones are never removed. Notes of groups that have no
// message any more go with the last of them.
func (s *Store) Sweep(ctx context.Context, retention time.Duration, limit int) (int, error) {
	tag, err := s.db.Exec(ctx, sweepSQL, retention, limit)
	if err != nil {
		return 0, fmt.Errorf("remove old dead letters: %w", err)
	}
	if n := int(tag.RowsAffected()); n > 0 {
		return n, nil
	}
	if _, err := s.db.Exec(ctx, sweepNotesSQL, retention); err != nil {
		return 0, fmt.Errorf("remove the notes of old dead letters: %w", err)
	}
	return 0, nil
}
