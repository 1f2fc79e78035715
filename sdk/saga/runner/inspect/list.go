package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

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
	Attempt    int           // what it waits for is at this attempt, or a later one
	Overdue    bool          // its deadline has passed
	Stuck      bool          // it needs an operator
	OlderThan  time.Duration // begun longer ago
	After      Cursor        // begun before the one that the cursor names
	Limit      int
	// Attributes are search attributes that a saga must have, by name; see [saga.Attribute].
	Attributes map[string]string
	// Refs are the sagas to choose from; nil: all.
	Refs []saga.Ref
}

// Cursor is a place in the list of sagas, newest first: behind one saga. Where that began is looked
// up, since StartedAt may be less exact than the row: an instant that JSON cannot write is shown as
// the nearest one that it can. StartedAt counts if the saga has been removed meanwhile.
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
	Revision   int        `json:"revision"`
	StartedAt  time.Time  `json:"startedAt"`
	UpdatedAt  time.Time  `json:"updatedAt"`
	EndedAt    *time.Time `json:"endedAt,omitempty"`
	// Attributes are the search attributes that its definition declares.
	Attributes map[string]string `json:"attributes,omitempty" doc:"The search attributes that its definition declares"`
	// Waits are what it waits for; none where its definition is not known here.
	Waits []saga.Wait `json:"waits,omitempty" db:"-" doc:"What it waits for, and until when"`
	// Standing is where it stands, without its data and what is held for it.
	Standing saga.State `json:"-" db:"-"`
}

const summaryColumns = `id, definition, version, state, step, attempt, nullif(deadline, 'infinity') as deadline,
       reason, coalesce(trouble, '') as trouble, revision, started_at, updated_at, ended_at,
       (select jsonb_object_agg(a.name, a.value) from saga_attributes a
         where a.saga_id = sagas.id and a.definition = sagas.definition) as attributes`

const newestFirst = "\norder by started_at desc, id desc, definition desc limit "

// List returns sagas, newest first, however many have to be read for that; see [Inspector.Page].
func (i *Inspector) List(ctx context.Context, f Filter, now time.Time) ([]Summary, error) {
	where := f.where(now)
	where.args["limit"] = f.Limit
	return i.list(ctx, "select "+summaryColumns+"\nfrom sagas where "+where.all()+newestFirst+"@limit", where.args)
}

// Page is a part of a list.
type Page struct {
	Sagas []Summary
	// Next is where the next page begins; nil: there is none.
	Next *Cursor
	// Searched says that the page ended since enough sagas had been looked at: there need not be
	// any more that the filter chooses.
	Searched bool
}

// searchRows is how many sagas a page looks at: 50 ms of them or so.
const searchRows = 25_000

// Page returns a page of sagas, newest first, that takes a bounded time however many there are.
// What an index leads to is read alone: sagas that are open, overdue, in trouble or at a later
// attempt, and those with an attribute. Of these, or of all from the cursor on, the newest
// searchRows are held against the rest of the filter: a page can be short, or empty, and have a
// next.
func (i *Inspector) Page(ctx context.Context, f Filter, now time.Time) (Page, error) {
	where := f.where(now)
	where.args["limit"], where.args["rows"] = f.Limit+1, searchRows
	sql := "select " + summaryColumns + "\nfrom (select * from sagas where " + strings.Join(where.indexed, " and ") + newestFirst + "@rows) as sagas" +
		"\nwhere " + strings.Join(where.rest, " and ") + newestFirst + "@limit"
	sagas, err := i.list(ctx, sql, where.args)
	if err != nil {
		return Page{}, err
	}
	if len(sagas) > f.Limit {
		last := sagas[f.Limit-1]
		return Page{Sagas: sagas[:f.Limit], Next: &Cursor{last.StartedAt, last.ID, last.Definition}}, nil
	}
	page := Page{Sagas: sagas}
	if len(where.rest) == 1 {
		return page, nil // nothing was passed over
	}
	page.Next, err = i.searchedTo(ctx, where)
	page.Searched = page.Next != nil
	return page, err
}

// searchedTo is the last saga that a page has looked at; nil where it has looked at all.
func (i *Inspector) searchedTo(ctx context.Context, where conditions) (*Cursor, error) {
	rows, err := i.db.Query(ctx, "select started_at, id, definition from sagas where "+strings.Join(where.indexed, " and ")+newestFirst+"1 offset @rows - 1", where.args)
	if err != nil {
		return nil, fmt.Errorf("list sagas: %w", err)
	}
	last, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[Cursor])
	if err != nil || len(last) == 0 {
		return nil, err
	}
	return last[0], nil
}

const standingSQL = `select ` + store.StandingColumns + ` from sagas where (id, definition) in (select * from unnest(@ids::text[], @definitions::text[]))`

// list returns the sagas of a query for summaryColumns as they were at one moment.
func (i *Inspector) list(ctx context.Context, sql string, args pgx.NamedArgs) (list []Summary, err error) {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, i.db, snapshot, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, args)
		if err != nil {
			return err
		}
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByName[Summary]); err != nil || len(list) == 0 {
			return err
		}
		ids, definitions := make([]string, len(list)), make([]string, len(list))
		at := make(map[saga.Ref]int, len(list))
		for n, s := range list {
			ids[n], definitions[n], at[saga.Ref{Definition: s.Definition, ID: s.ID}] = s.ID, s.Definition, n
		}
		found, err := saved(tx.Query(ctx, standingSQL, pgx.NamedArgs{"ids": ids, "definitions": definitions}))
		for _, s := range found {
			one := &list[at[s.Ref()]]
			one.Standing = s
			if d, known := i.registry.Definition(s.Definition, s.Version); known {
				one.Waits = d.Waits(s)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sagas: %w", err)
	}
	return list, nil
}

// conditions are those of a filter. There is always one of each kind.
type conditions struct {
	indexed []string // an index leads to what they choose, in the order of a list or nearly so
	rest    []string // are asked of each row
	args    pgx.NamedArgs
}

func (c conditions) all() string {
	return strings.Join(append(slices.Clip(c.indexed), c.rest...), " and ")
}

// afterSQL is where the saga of the cursor began.
const afterSQL = "coalesce((select c.started_at from sagas c where c.id = @id and c.definition = @name), @after)"

// where returns the conditions of the filter: only those asked for, so that each filter is served
// by the index made for it: open and overdue sagas by sagas_open, those in trouble by
// sagas_in_trouble, those at a later attempt by sagas_retrying, all others by walking
// sagas_started.
func (f Filter) where(now time.Time) conditions {
	c := conditions{[]string{"true"}, []string{"true"}, pgx.NamedArgs{"now": now, "after": f.After.StartedAt, "id": f.After.ID, "name": f.After.Definition}}
	indexed := func(asked bool, condition string) {
		if asked {
			c.indexed = append(c.indexed, condition)
		}
	}
	rest := func(asked bool, condition, name string, value any) {
		if asked {
			c.rest, c.args[name] = append(c.rest, condition), value
		}
	}
	open := f.State == string(saga.Running) || f.State == string(saga.Compensating) || f.Step != ""
	indexed(open && f.Attempt < 2, "wake_at is not null and deadline is not null")
	indexed(f.Attempt > 1, "wake_at is not null and deadline is not null and attempt > 1")
	indexed(f.Stuck || f.State == string(saga.CompensationStuck) || f.State == string(saga.Suspended), "trouble is not null")
	indexed(f.Overdue, "wake_at < @now and deadline < @now")
	indexed(f.After.ID != "", "(started_at, id) <= ("+afterSQL+", @id) and (started_at, id, definition) < ("+afterSQL+", @id, @name)")
	if f.OlderThan > 0 {
		c.indexed, c.args["before"] = append(c.indexed, "started_at < @before"), now.Add(-f.OlderThan)
	}
	for n, name := range slices.Sorted(maps.Keys(f.Attributes)) {
		c.indexed = append(c.indexed, fmt.Sprintf("(id, definition) in (select saga_id, a.definition from saga_attributes a where a.name = @attribute%[1]d and a.value = @value%[1]d)", n))
		c.args[fmt.Sprintf("attribute%d", n)], c.args[fmt.Sprintf("value%d", n)] = name, f.Attributes[name]
	}
	if f.Refs != nil {
		ids, definitions := make([]string, len(f.Refs)), make([]string, len(f.Refs))
		for n, ref := range f.Refs {
			ids[n], definitions[n] = ref.ID, ref.Definition
		}
		c.indexed = append(c.indexed, "(id, definition) in (select * from unnest(@chosen_ids::text[], @chosen_definitions::text[]))")
		c.args["chosen_ids"], c.args["chosen_definitions"] = ids, definitions
	}
	rest(f.State != "", "state = @state", "state", f.State)
	rest(f.Definition != "", "definition = @definition", "definition", f.Definition)
	rest(f.Version > 0, "version = @version", "version", f.Version)
	rest(f.Step != "", "@step = any (string_to_array(step, ','))", "step", f.Step)
	rest(f.Attempt > 2, "attempt >= @attempt", "attempt", f.Attempt)
	return c
}
