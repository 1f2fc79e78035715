package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// GroupNote says who looks at the dead letters of one consumer, topic, type and cause, and what is
// known of them. It stays while there are any, and holds for those to come.
type GroupNote struct {
	Owner     string // who looks at them; "": nobody
	Note      string // such as a ticket
	By        string // who wrote it last
	ChangedAt time.Time
	Revision  int // grows with each change, from 1
}

// Empty reports whether the note says nothing: it was removed.
func (n GroupNote) Empty() bool { return n.Owner == "" && n.Note == "" }

// Annotation is a change of a [GroupNote]. With neither an owner nor a text, the note is removed.
type Annotation struct {
	Owner, Note string
	By          string // who writes it
	// Revision is what the operator has seen; 0: whatever it is.
	Revision int
	// Audit, if set, is called in the transaction of the change.
	Audit func(ctx context.Context, tx pgx.Tx, l Letter, before, after GroupNote) error
}

// ErrNoCause says that a message was never dead, only parked: it is in no group.
var ErrNoCause = errors.New("it waits behind a dead letter, and has no cause of its own")

const ofGroupSQL = ` where consumer = $1 and topic = $2 and type = $3 and cause = $4`

const (
	noteSQL     = `select owner, note, changed_by, changed_at, revision from dead_letter_notes` + ofGroupSQL
	openNoteSQL = `insert into dead_letter_notes (consumer, topic, type, cause, changed_by) values ($1, $2, $3, $4, '') on conflict do nothing`
	setNoteSQL  = `
update dead_letter_notes set owner = $5, note = $6, changed_by = $7, changed_at = now(), revision = revision + 1` + ofGroupSQL + `
returning owner, note, changed_by, changed_at, revision`
)

// Annotate sets the note of the group that a dead letter is in.
func (s *Store) Annotate(ctx context.Context, id int64, a Annotation) (after GroupNote, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		l, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		if l.Cause == "" {
			return ErrNoCause
		}
		if _, err := tx.Exec(ctx, openNoteSQL, l.group()...); err != nil {
			return err
		}
		before, err := readNote(tx.QueryRow(ctx, noteSQL+" for update", l.group()...))
		if errors.Is(err, pgx.ErrNoRows) || err == nil && a.Revision != 0 && a.Revision != before.Revision {
			return ErrRevision
		}
		if err != nil {
			return err
		}
		after, err = readNote(tx.QueryRow(ctx, setNoteSQL, append(l.group(), a.Owner, a.Note, a.By)...))
		if err != nil || a.Audit == nil {
			return err
		}
		return a.Audit(ctx, tx, l, before, after)
	})
	if err != nil {
		return GroupNote{}, fmt.Errorf("note about dead letter %d: %w", id, err)
	}
	return after, nil
}

// Note returns the note of a dead letter's group; one that is empty where there is none.
func (s *Store) Note(ctx context.Context, l Letter) (GroupNote, error) {
	n, err := readNote(s.db.QueryRow(ctx, noteSQL, l.group()...))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return GroupNote{}, fmt.Errorf("read the note about dead letter %d: %w", l.ID, err)
	}
	return n, nil
}

func (l Letter) group() []any { return []any{l.Consumer, l.Topic, l.Type, l.Cause} }

func readNote(row pgx.Row) (n GroupNote, err error) {
	return n, row.Scan(&n.Owner, &n.Note, &n.By, &n.ChangedAt, &n.Revision)
}
