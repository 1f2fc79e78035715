package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/outbox-relay/internal/cursor"
)

// Step is what a leader has completed since its last step. The zero value is nothing.
type Step struct {
	// Settled are ids that need not be read again: acknowledged, quarantined, or closed.
	Done cursor.Set
	// Closed are the ids among them that were given up as rolled back.
	Closed cursor.Set
	// Late are ids that had been given up and were published after all.
	Late cursor.Set
	// Stuck are the rows that were quarantined, some of them not for the first time.
	Stuck []Stuck
	// Released are the ids of stuck rows that are published or discarded now.
	Released []int64
}

// Empty says whether there is nothing to make durable.
func (s *Step) Empty() bool {
	return s.Done.Empty() && s.Closed.Empty() && s.Late.Empty() && len(s.Stuck) == 0 && len(s.Released) == 0
}

// Plain says whether moving the cursor is all there is to do.
func (s *Step) Plain() bool {
	return s.Closed.Empty() && s.Late.Empty() && len(s.Stuck) == 0 && len(s.Released) == 0
}

// Urgent says whether somebody waits for it to be made durable.
func (s *Step) Urgent() bool { return !s.Late.Empty() || len(s.Stuck) > 0 || len(s.Released) > 0 }

// Clear empties the step and keeps its memory.
func (s *Step) Clear() {
	s.Done.Clear()
	s.Closed.Clear()
	s.Late.Clear()
	clear(s.Stuck)
	s.Stuck, s.Released = s.Stuck[:0], s.Released[:0]
}

const (
	// One row by its only index; the merge of the ranges is the server's, so the statement stays
	// small.
	advanceSQL = `
update public.outbox_cursor
   set published = published + $2::text::int8multirange, updated_at = now()
 where epoch = $1
returning paused`
	closeGapsSQL = `insert into public.outbox_closed (ids) values ($1::text::int8multirange)`
)

// Advance makes a step durable, all of it or nothing, and says whether an operator has paused the
// source. It returns ErrFenced if the session's term is over.
func (s *Session) Advance(ctx context.Context, step *Step) (paused bool, err error) {
	if step.Plain() {
		return s.moveCursor(ctx, s.conn, &step.Done)
	}
	err = pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		if paused, err = s.moveCursor(ctx, tx, &step.Done); err != nil {
			return err
		}
		if !step.Closed.Empty() {
			if _, err := tx.Exec(ctx, closeGapsSQL, step.Closed.String()); err != nil {
				return fmt.Errorf("remember closed gaps: %w", err)
			}
		}
		if err := forgetLate(ctx, tx, &step.Late); err != nil {
			return err
		}
		if err := quarantine(ctx, tx, step.Stuck); err != nil {
			return err
		}
		return unstick(ctx, tx, step.Released)
	})
	return paused, err
}

type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func (s *Session) moveCursor(ctx context.Context, on queryer, settled *cursor.Set) (paused bool, err error) {
	err = on.QueryRow(ctx, advanceSQL, s.epoch, settled.String()).Scan(&paused)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, ErrFenced
	}
	if err != nil {
		return false, fmt.Errorf("move the cursor of database %s: %w", s.database, err)
	}
	return paused, nil
}
