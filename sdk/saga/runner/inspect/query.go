package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// Filter chooses sagas for List; zero fields choose all.
type Filter struct {
	State      string        // its name: the phase, or the definition's name of the end
	Definition string        // its name
	Version    int           // of its definition
	Step       string        // it waits for this step
	Overdue    bool          // its deadline has passed
	Stuck      bool          // it needs an operator
	OlderThan  time.Duration // begun longer ago
	After      Cursor        // begun before the one that the cursor names
	Limit      int
	// Attributes are search attributes that a saga must have, by name; see [saga.Attribute].
	Attributes map[string]string
}

// Cursor is a place in the list of sagas, newest first.
type Cursor struct {
	StartedAt  time.Time
	ID         string
	Definition string
}

// Summary is one line of a list of sagas.
type Summary struct {
	ID         string     `json:"id" doc:"The key of the saga's messages: of an order saga, the order id"`
	Definition string     `json:"definition"`
	Version    int        `json:"version"`
	State      string     `json:"state" doc:"RUNNING, COMPENSATING, COMPENSATION_STUCK, SUSPENDED, or the end that was reached"`
	Step       string     `json:"step,omitempty" doc:"The steps that wait for a reply"`
	Attempt    int        `json:"attempt,omitzero"`
	Deadline   *time.Time `json:"deadline,omitempty" doc:"When the saga acts unless a reply comes first"`
	Reason     string     `json:"reason,omitempty" doc:"Why it is being undone, or was"`
	Trouble    string     `json:"trouble,omitempty" doc:"Why it needs an operator"`
	StartedAt  time.Time  `json:"startedAt"`
	UpdatedAt  time.Time  `json:"updatedAt"`
	EndedAt    *time.Time `json:"endedAt,omitempty"`
	// Attributes are the search attributes that its definition declares.
	Attributes map[string]string `json:"attributes,omitempty" doc:"The search attributes that its definition declares"`
}

const summaryColumns = `id, definition, version, state, step, attempt, nullif(deadline, 'infinity') as deadline,
       reason, coalesce(trouble, '') as trouble, started_at, updated_at, ended_at,
       (select jsonb_object_agg(a.name, a.value) from saga_attributes a
         where a.saga_id = sagas.id and a.definition = sagas.definition) as attributes`

// List returns sagas, newest first. Its conditions are only those asked for, so that each filter is
// served by the index made for it: overdue and open sagas by sagas_open, those in trouble by
// sagas_in_trouble, all others by walking sagas_started. Those with an attribute come from its
// index, in the same order.
func (i *Inspector) List(ctx context.Context, f Filter, now time.Time) ([]Summary, error) {
	where, args := f.where(now)
	args["limit"] = f.Limit
	sql := "select " + summaryColumns + "\nfrom sagas where " + where +
		"\norder by started_at desc, id desc, definition desc limit @limit"
	rows, err := i.db.Query(ctx, sql, args)
	if err != nil {
		return nil, fmt.Errorf("list sagas: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Summary])
	if err != nil {
		return nil, fmt.Errorf("list sagas: %w", err)
	}
	return list, nil
}

// where returns the conditions of the filter, of which there is always one, and their arguments.
func (f Filter) where(now time.Time) (string, pgx.NamedArgs) {
	args := pgx.NamedArgs{}
	where := []string{"true"}
	when := func(asked bool, condition, name string, value any) {
		if asked {
			where = append(where, condition)
			args[name] = value
		}
	}
	when(f.State != "", "state = @state", "state", f.State)
	when(f.State == string(saga.Running) || f.State == string(saga.Compensating), "deadline is not null", "", nil)
	when(f.Stuck || f.State == string(saga.CompensationStuck) || f.State == string(saga.Suspended), "trouble is not null", "", nil)
	when(f.Definition != "", "definition = @definition", "definition", f.Definition)
	when(f.Version > 0, "version = @version", "version", f.Version)
	when(f.Step != "", "deadline is not null and @step = any (string_to_array(step, ','))", "step", f.Step)
	when(f.Overdue, "deadline < @now", "now", now)
	when(f.OlderThan > 0, "started_at < @before", "before", now.Add(-f.OlderThan))
	when(f.After.ID != "", "(started_at, id) <= (@after, @id) and (started_at, id, definition) < (@after, @id, @name)", "after", f.After.StartedAt)
	args["id"], args["name"] = f.After.ID, f.After.Definition
	for n, name := range slices.Sorted(maps.Keys(f.Attributes)) {
		where = append(where, fmt.Sprintf("(id, definition) in (select saga_id, a.definition from saga_attributes a where a.name = @attribute%[1]d and a.value = @value%[1]d)", n))
		args[fmt.Sprintf("attribute%d", n)], args[fmt.Sprintf("value%d", n)] = name, f.Attributes[name]
	}
	return strings.Join(where, " and "), args
}

// Refs returns which sagas a filter chooses, the oldest first, up to its limit.
func Refs(ctx context.Context, db Querier, f Filter, now time.Time) ([]saga.Ref, error) {
	where, args := f.where(now)
	args["limit"] = f.Limit
	rows, err := db.Query(ctx, "select definition, id from sagas where "+where+"\norder by started_at, id, definition limit @limit", args)
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
	where, args := f.where(now)
	args["ref_id"], args["ref_definition"] = ref.ID, ref.Definition
	rows, err := db.Query(ctx, "select state, step, revision, "+where+" from sagas where id = @ref_id and definition = @ref_definition", args)
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
