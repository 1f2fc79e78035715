package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/saga"
)

// row is a row of the table sagas as the engine needs it.
type row struct {
	ID            string
	Definition    string
	Version       int
	Phase         string
	SuspendedFrom *string
	Stage         int
	Steps         []byte
	Data          []byte
	Reason        string
	Revision      int
	Stale         int
	Held          []byte
	Trace         string
	Extra         []byte
	StartID       *uuid.UUID
	StartedAt     time.Time
	UpdatedAt     time.Time
	EndedAt       *time.Time
}

// Columns are those of the table sagas that [Collect] reads.
const Columns = `id, definition, version, phase, suspended_from, stage, steps, data, reason, revision, stale, held, trace, extra, start_id, started_at, updated_at, ended_at`

// StandingColumns are the same without the saga's data, and what is held for it: those are as large
// as people make them.
const StandingColumns = `id, definition, version, phase, suspended_from, stage, steps, '{}'::jsonb as data, reason, revision, stale, null::jsonb as held, trace, extra, start_id, started_at, updated_at, ended_at`

// Without a lock: sagas of a batch are rarely changed by another process, and a lock writes to each
// row. What Save queues detects it.
const loadSQL = `
select ` + Columns + `
from sagas where id = any ($1)`

// Loaded are sagas by id, as [Store.Load] found them: of each definition one at most.
type Loaded map[string][]saga.State

// Load queues a read of those of the sagas that exist, and returns what it will have found when the
// batch has been sent.
func (*Store) Load(batch *pgx.Batch, ids []string) Loaded {
	loaded := make(Loaded, len(ids))
	batch.Queue(loadSQL, ids).Query(func(rows pgx.Rows) error {
		found, err := Collect(rows)
		if err != nil {
			return fmt.Errorf("load sagas: %w", err)
		}
		for _, s := range found {
			loaded[s.ID] = append(loaded[s.ID], s)
		}
		return nil
	})
	return loaded
}

// UnreadableError says that a saga's row does not decode.
type UnreadableError struct {
	Ref saga.Ref
	Err error
}

func (e *UnreadableError) Error() string { return fmt.Sprintf("saga %s: %v", e.Ref, e.Err) }
func (e *UnreadableError) Unwrap() error { return e.Err }

// Scan reads one saga of a query for [Columns]. Of one whose row does not decode it returns what
// could be read of it, with an [*UnreadableError].
func Scan(r pgx.CollectableRow) (saga.State, error) {
	one, err := pgx.RowToStructByName[row](r)
	if err != nil {
		return saga.State{}, err
	}
	s, err := one.state()
	if err != nil {
		return s, &UnreadableError{s.Ref(), err}
	}
	return s, nil
}

// Collect reads sagas of a query for [Columns], and closes the rows.
func Collect(rows pgx.Rows) ([]saga.State, error) {
	return pgx.CollectRows(rows, Scan)
}

func (r row) state() (saga.State, error) {
	s := saga.State{
		ID: r.ID, Definition: r.Definition, Version: r.Version, Phase: saga.Phase(r.Phase),
		Stage: r.Stage, Reason: r.Reason, Data: r.Data, Trace: r.Trace, Revision: r.Revision, Stale: r.Stale,
		StartedAt: r.StartedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.SuspendedFrom != nil {
		s.SuspendedFrom = saga.Phase(*r.SuspendedFrom)
	}
	if r.EndedAt != nil {
		s.EndedAt = r.EndedAt.UTC()
	}
	if r.StartID != nil {
		s.StartID = *r.StartID
	}
	if r.Extra != nil {
		var extra rare
		if err := json.Unmarshal(r.Extra, &extra); err != nil {
			return s, fmt.Errorf("extra of saga %s: %w", r.ID, err)
		}
		s.StartBy, s.CompleteBy, s.CancelAsked, s.CancelRefused = extra.StartBy, extra.CompleteBy, extra.CancelAsked, extra.CancelRefused
		s.SuspendedBy, s.SuspendedAt, s.Early = extra.SuspendedBy, extra.SuspendedAt, extra.Early
	}
	if err := json.Unmarshal(r.Steps, &s.Steps); err != nil {
		return s, fmt.Errorf("steps of saga %s: %w", r.ID, err)
	}
	if r.Held != nil {
		if err := json.Unmarshal(r.Held, &s.Held); err != nil {
			return s, fmt.Errorf("held messages of saga %s: %w", r.ID, err)
		}
	}
	return s, nil
}
