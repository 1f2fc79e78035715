package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
)

// Intervene applies what an operator wants to one saga, in a transaction of
// its own. A ref without a definition is the only saga of its id. The errors are
// ErrNotFound, ErrSeveral and those of the engine.
func (s *Store) Intervene(ctx context.Context, ref saga.Ref, in saga.Input, now time.Time) error {
	for {
		err := s.intervene(ctx, ref, in, now)
		if !conflict(err) || ctx.Err() != nil {
			return err
		}
		// A message was faster: decide again about what it left.
	}
}

// conflict says that a saga was changed by someone else after it was loaded.
func conflict(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "40001" // serialization_failure
}

func (s *Store) intervene(ctx context.Context, ref saga.Ref, in saga.Input, now time.Time) error {
	var report func()
	err := pgx.BeginFunc(ctx, s.ForPeople(), func(tx pgx.Tx) error {
		decided, err := s.apply(ctx, tx, Event{Ref: ref, Input: in}, now)
		report = decided.Report
		return err
	})
	if err != nil {
		return fmt.Errorf("intervene: %w", err)
	}
	report()
	return nil
}

// apply applies one event inside tx, with the messages that it causes.
func (s *Store) apply(ctx context.Context, tx pgx.Tx, e Event, now time.Time) (Decided, error) {
	var reads, writes pgx.Batch
	loaded := s.Load(&reads, []string{e.Ref.ID})
	if err := tx.SendBatch(ctx, &reads).Close(); err != nil {
		return Decided{}, err
	}
	state, err := only(loaded[e.Ref.ID], e.Ref)
	if err != nil {
		return Decided{}, err
	}
	e.Ref = state.Ref()
	decided, err := s.Decide(&writes, loaded, []Event{e}, now, nil)
	if err == nil {
		err = outbox.Queue(&writes, decided.Messages...)
	}
	if err != nil {
		return Decided{}, err
	}
	return decided, tx.SendBatch(ctx, &writes).Close()
}

// OutboxRow is what became of a message in a service's outbox.
type OutboxRow struct {
	ID          int64
	EventID     uuid.UUID
	Topic       string
	Type        string
	CreatedAt   time.Time
	Status      string // published, pending, stuck or parked
	Error       string
	Attempts    int
	StuckAt     *time.Time
	NextAttempt *time.Time
}

// The view outbox_status belongs to the migration set "outbox", which every
// database of a service has.
const outboxSQL = `
select id, event_id, topic, type, created_at, status,
       coalesce(error, '') as error, coalesce(attempts, 0) as attempts, stuck_at, next_attempt_at as next_attempt
from outbox_status where key = $1 order by id`

// Querier is what reads need; a pool, a connection and a transaction have it.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Outbox returns all messages of one key in the outbox of a database.
func Outbox(ctx context.Context, db Querier, key string) ([]OutboxRow, error) {
	rows, err := db.Query(ctx, outboxSQL, key)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[OutboxRow])
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return list, nil
}
