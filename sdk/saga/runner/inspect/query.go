package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// Refs returns which sagas a filter chooses, the oldest first, up to its limit.
func Refs(ctx context.Context, db Querier, f Filter, now time.Time) ([]saga.Ref, error) {
	where := f.where(now)
	where.args["limit"] = f.Limit
	rows, err := db.Query(ctx, "select definition, id from sagas where "+where.all()+"\norder by started_at, id, definition limit @limit", where.args)
	if err != nil {
		return nil, fmt.Errorf("choose sagas: %w", err)
	}
	refs, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (ref saga.Ref, err error) {
		return ref, r.Scan(&ref.Definition, &ref.ID)
	})
	if err != nil {
		return nil, fmt.Errorf("choose sagas: %w", err)
	}
	return refs, nil
}

// Standing is where one saga stands, and whether a filter chooses it.
type Standing struct {
	State    string
	Step     string // those that wait
	Revision int
	Chosen   bool
}

// Look returns where one saga stands in the eyes of a filter; [store.ErrNotFound] if there is none.
func Look(ctx context.Context, db Querier, ref saga.Ref, f Filter, now time.Time) (Standing, error) {
	where := f.where(now)
	where.args["ref_id"], where.args["ref_definition"] = ref.ID, ref.Definition
	rows, err := db.Query(ctx, "select state, step, revision, "+where.all()+" from sagas where id = @ref_id and definition = @ref_definition", where.args)
	if err != nil {
		return Standing{}, fmt.Errorf("look at saga %s: %w", ref, err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Standing])
	if errors.Is(err, pgx.ErrNoRows) {
		return Standing{}, fmt.Errorf("look at saga %s: %w", ref, store.ErrNotFound)
	}
	return s, err
}

// Line is one transition of a saga, as the history keeps it.
type Line struct {
	Seq       int          `json:"seq"`
	At        time.Time    `json:"at"`
	Kind      string       `json:"kind" doc:"started, replied, late_success, stale_reply, timed_out, postponed, cancel_requested, intervened, held, suspended, resumed or time_passed"`
	From      string       `json:"from,omitempty" doc:"The state before"`
	To        string       `json:"to" doc:"The state after"`
	Step      string       `json:"step,omitempty"`
	CauseID   *uuid.UUID   `json:"causeId,omitempty" doc:"The message that caused it"`
	CauseType string       `json:"causeType"`
	Actor     string       `json:"actor,omitempty" doc:"Who intervened"`
	Note      string       `json:"note,omitempty"`
	AfterMS   float64      `json:"afterMs" doc:"Milliseconds since the line before"`
	Commands  []store.Sent `json:"commands,omitempty" doc:"What was sent"`
}

const oneSQL = `select ` + store.Columns + ` from sagas where id = $1 and ($2 = '' or definition = $2)`

const linesSQL = `
select seq, at, kind, from_state, to_state, step, cause_id, cause_type, actor, note, commands
from saga_transitions where saga_id = $1 and definition = $2 order by seq`

// Get returns a saga and its history as they were at one moment. A ref without a definition is the
// only saga of its id; the errors are [store.ErrNotFound] and [store.ErrSeveral].
func (i *Inspector) Get(ctx context.Context, ref saga.Ref) (saga.State, []Line, error) {
	var state saga.State
	var lines []Line
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, i.db, snapshot, func(tx pgx.Tx) error {
		found, err := saved(tx.Query(ctx, oneSQL, ref.ID, ref.Definition))
		if err != nil {
			return err
		}
		if state, err = store.Only(found, ref); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, linesSQL, state.ID, state.Definition)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, scanLine)
		return err
	})
	if err != nil {
		return saga.State{}, nil, fmt.Errorf("read saga %s: %w", ref.ID, err)
	}
	for n := range lines {
		if n > 0 {
			lines[n].AfterMS = float64(lines[n].At.Sub(lines[n-1].At).Microseconds()) / 1000
		}
	}
	return state, lines, nil
}

// saved are the sagas of a query for [store.Columns].
func saved(rows pgx.Rows, err error) ([]saga.State, error) {
	if err != nil {
		return nil, err
	}
	return store.Collect(rows)
}

// Revision returns how many transitions a saga has had. A ref without a definition is the only saga
// of its id; the errors are [store.ErrNotFound] and [store.ErrSeveral].
func (i *Inspector) Revision(ctx context.Context, ref saga.Ref) (int, error) {
	rows, err := i.db.Query(ctx, "select id, definition, revision from sagas where id = $1", ref.ID)
	if err != nil {
		return 0, fmt.Errorf("read the revision of saga %s: %w", ref.ID, err)
	}
	found, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (one saga.State, err error) {
		return one, r.Scan(&one.ID, &one.Definition, &one.Revision)
	})
	if err != nil {
		return 0, fmt.Errorf("read the revision of saga %s: %w", ref.ID, err)
	}
	one, err := store.Only(found, ref)
	return one.Revision, err
}

func scanLine(r pgx.CollectableRow) (Line, error) {
	var l Line
	var commands []byte
	err := r.Scan(&l.Seq, &l.At, &l.Kind, &l.From, &l.To, &l.Step, &l.CauseID, &l.CauseType, &l.Actor, &l.Note, &commands)
	if err != nil {
		return l, err
	}
	l.At = l.At.UTC()
	return l, json.Unmarshal(commands, &l.Commands)
}
