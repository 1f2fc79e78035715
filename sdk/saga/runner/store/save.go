package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"waybill.example/sdk/saga"
)

// openUntil is the column deadline: a saga that has not ended always has one.
const openUntil = `case when n.phase in ('COMPLETED', 'CANCELLED', 'NOT_STARTED') then n.deadline else coalesce(n.deadline, 'infinity') end`

// The column wake_at is indexed, so it stays as it is where that is early enough, and then the
// update writes the row and no index (decision 117). It begins a quarter of the wait before the
// deadline, since waits have a jitter: the next one may be the shorter.
const (
	wakeFirst = `coalesce(least(n.deadline, n.updated_at + (n.deadline - n.updated_at) * 0.75), ` + openUntil + `)`
	wakeAt    = `case when s.wake_at > n.updated_at and ` + openUntil + ` >= s.wake_at then s.wake_at else ` + wakeFirst + ` end`
)

const insertSQL = `
insert into sagas (id, revision, definition, version, phase, state, step, attempt, deadline, reason, stale, stage,
                   steps, data, suspended_from, held, started_at, updated_at, ended_at, extra, trouble,
                   trace, start_id, partition, wake_at)
select id, revision, definition, version, phase, state, step, attempt, ` + openUntil + `, reason, stale, stage,
       steps, data, suspended_from, held, started_at, updated_at, ended_at, extra, trouble,
       trace, start_id, partition, ` + wakeFirst + `
from unnest($1::text[], $2::int[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::int[],
            $9::timestamptz[], $10::text[], $11::int[], $12::int[], $13::json[], $14::jsonb[], $15::text[],
            $16::jsonb[], $17::timestamptz[], $18::timestamptz[], $19::timestamptz[], $20::jsonb[], $21::text[],
            $22::text[], $23::uuid[], $24::int[])
  as n (id, revision, definition, version, phase, state, step, attempt, deadline, reason, stale, stage,
        steps, data, suspended_from, held, started_at, updated_at, ended_at, extra, trouble, trace, start_id, partition)`

// A saga that was changed since it was loaded has another revision: its row is not updated, and the
// statement fails. $17, when the saga began, never changes: here it is left out. The version and
// the start of a saga that only a cancellation had come for are those of the message that starts
// it. Data that has not changed is not sent: it is most of what would have to be parsed.
const updateSQL = `
with changed as (
update sagas s
set revision = n.revision, version = n.version, phase = n.phase, state = n.state, step = n.step, attempt = n.attempt,
    deadline = ` + openUntil + `, wake_at = ` + wakeAt + `, reason = n.reason, stale = n.stale, stage = n.stage, steps = n.steps,
    data = coalesce(n.data, s.data),
    suspended_from = n.suspended_from, held = n.held, updated_at = n.updated_at, ended_at = n.ended_at,
    extra = n.extra, trouble = n.trouble, start_id = coalesce(s.start_id, n.start_id)
from unnest($1::text[], $2::int[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::int[],
            $9::timestamptz[], $10::text[], $11::int[], $12::int[], $13::json[], $14::jsonb[], $15::text[],
            $16::jsonb[], $17::timestamptz[], $18::timestamptz[], $19::timestamptz[], $20::jsonb[], $21::text[],
            $22::uuid[], $23::int[])
  as n (id, revision, definition, version, phase, state, step, attempt, deadline, reason, stale, stage,
        steps, data, suspended_from, held, started_at, updated_at, ended_at, extra, trouble, start_id, seen)
where s.id = n.id and s.definition = n.definition and s.revision = n.seen
returning 1)
select inbox_expect(count(*), cardinality($1)) from changed`

const historySQL = `
insert into saga_transitions (saga_id, definition, seq, at, kind, from_state, to_state, step, cause_id, cause_type, actor, note, commands)
select * from unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::uuid[], $10::text[], $11::text[], $12::text[], $13::jsonb[])`

// Change is what became of one saga.
type Change struct {
	Before saga.State // as it was loaded; the zero value is a saga that did not exist
	After  saga.State
	// Partition is the Kafka partition of the message that began it; nil where that is not known.
	Partition *int32
	// Attributes are all its search attributes, by name; nil where they have not changed.
	Attributes map[string]string
}

// Record is a transition of a saga.
type Record struct {
	Ref saga.Ref
	saga.Transition
}

// Save queues what writes changed sagas, and their transitions in their order; it sorts the
// changes. What is queued fails with a serialization failure (SQLSTATE 40001) if another process
// changed a saga after it was loaded, and with a unique violation if one that did not exist exists
// now.
func (s *Store) Save(batch *pgx.Batch, changes []*Change, history []Record) error {
	if len(changes) == 0 {
		return nil
	}
	// In the order of the ids, so that two batches that share sagas wait for each other and do not
	// deadlock.
	slices.SortFunc(changes, func(a, b *Change) int {
		return cmp.Or(strings.Compare(a.After.ID, b.After.ID), strings.Compare(a.After.Definition, b.After.Definition))
	})
	var fresh, known table
	var seen []int32
	for _, c := range changes {
		into := &fresh
		if c.Before.Exists() {
			into, seen = &known, append(seen, int32(c.Before.Revision))
		}
		into.partitions = append(into.partitions, c.Partition)
		if err := into.add(s.Registry, c.After); err != nil {
			return err
		}
		if into == &known && bytes.Equal(c.After.Data, c.Before.Data) {
			known.data[known.len()-1] = nil
		}
	}
	if fresh.len() > 0 {
		batch.Queue(insertSQL, append(fresh.args(), fresh.traces, fresh.starts, fresh.partitions)...)
	}
	if known.len() > 0 {
		batch.Queue(updateSQL, append(known.args(), known.starts, seen)...)
	}
	saveAttributes(batch, changes)
	records, err := historyArgs(history)
	if err != nil {
		return err
	}
	batch.Queue(historySQL, records...)
	return nil
}

// table is the columns of sagas, each one array each. pgx encodes a FlatArray element by element; a
// plain slice of pointers or of byte slices goes through reflection, and ids through text.
type table struct {
	ids, definitions, phases, states, steps, reasons []string
	revisions, versions, attempts, stale, stages     []int32
	progress, data, held, extra                      pgtype.FlatArray[[]byte]
	suspendedFrom, trouble                           pgtype.FlatArray[*string]
	deadlines, ended                                 pgtype.FlatArray[*time.Time]
	started, updated                                 []time.Time
	traces                                           []string
	starts                                           pgtype.FlatArray[pgtype.UUID]
	partitions                                       pgtype.FlatArray[*int32]
}

func (t *table) len() int { return len(t.ids) }

func (t *table) args() []any {
	return []any{
		t.ids, t.revisions, t.definitions, t.versions, t.phases, t.states, t.steps, t.attempts,
		t.deadlines, t.reasons, t.stale, t.stages, t.progress, t.data, t.suspendedFrom,
		t.held, t.started, t.updated, t.ended, t.extra, t.trouble,
	}
}

func (t *table) add(r *saga.Registry, s saga.State) error {
	progress, err := json.Marshal(s.Steps)
	if err != nil {
		return fmt.Errorf("encode steps of saga %s: %w", s.ID, err)
	}
	var held []byte
	if len(s.Held) > 0 {
		if held, err = json.Marshal(s.Held); err != nil {
			return fmt.Errorf("encode held messages of saga %s: %w", s.ID, err)
		}
	}
	extra, err := rareOf(s).encode()
	if err != nil {
		return fmt.Errorf("encode saga %s: %w", s.ID, err)
	}
	step, attempt := waiting(r, s)
	t.extra, t.trouble = append(t.extra, extra), append(t.trouble, unlessZero(s.Trouble()))
	t.starts = append(t.starts, pgtype.UUID{Bytes: s.StartID, Valid: s.StartID != uuid.Nil})
	t.ids, t.revisions = append(t.ids, s.ID), append(t.revisions, int32(s.Revision))
	t.definitions, t.versions = append(t.definitions, s.Definition), append(t.versions, int32(s.Version))
	t.phases, t.states = append(t.phases, string(s.Phase)), append(t.states, r.StateName(s))
	t.steps, t.attempts = append(t.steps, step), append(t.attempts, int32(attempt))
	t.reasons, t.stale = append(t.reasons, s.Reason), append(t.stale, int32(s.Stale))
	t.stages, t.progress = append(t.stages, int32(s.Stage)), append(t.progress, progress)
	t.data, t.held = append(t.data, s.Data), append(t.held, held)
	t.suspendedFrom = append(t.suspendedFrom, unlessZero(string(s.SuspendedFrom)))
	deadline, _ := s.Deadline()
	t.deadlines, t.ended = append(t.deadlines, unlessZero(deadline)), append(t.ended, unlessZero(s.EndedAt))
	t.traces = append(t.traces, s.Trace)
	t.started, t.updated = append(t.started, s.StartedAt), append(t.updated, s.UpdatedAt)
	return nil
}

// waiting summarises a saga's waits for the columns step and attempt.
func waiting(r *saga.Registry, s saga.State) (steps string, attempt int) {
	d, ok := r.Definition(s.Definition, s.Version)
	if !ok {
		return "", 0
	}
	var names []string
	for _, w := range d.Waits(s) {
		names, attempt = append(names, w.Step), max(attempt, w.Attempt)
	}
	return strings.Join(names, ","), attempt
}

// rare is what only a few sagas have to remember.
type rare struct {
	marks

	Early []saga.Message `json:"early,omitempty"`
}

type marks struct {
	StartBy       time.Time `json:"startBy,omitzero"`
	CompleteBy    time.Time `json:"completeBy,omitzero"`
	CancelAsked   bool      `json:"cancelAsked,omitzero"`
	CancelRefused bool      `json:"cancelRefused,omitzero"`
	SuspendedBy   string    `json:"suspendedBy,omitzero"`
	SuspendedAt   time.Time `json:"suspendedAt,omitzero"`
}

func rareOf(s saga.State) rare {
	return rare{marks{s.StartBy, s.CompleteBy, s.CancelAsked, s.CancelRefused, s.SuspendedBy, s.SuspendedAt}, s.Early}
}

// encode is nil where there is nothing to remember.
func (r rare) encode() ([]byte, error) {
	if r.marks == (marks{}) && len(r.Early) == 0 {
		return nil, nil
	}
	return json.Marshal(r)
}

func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// Sent is a command that was sent, as a transition records it.
type Sent struct {
	ID      uuid.UUID `json:"id"`
	Type    string    `json:"type"`
	Step    string    `json:"step"`
	Undo    bool      `json:"undo,omitzero"`
	Attempt int       `json:"attempt"`
}

func historyArgs(history []Record) ([]any, error) {
	n := len(history)
	sagas, definitions, seqs, ats := make([]string, n), make([]string, n), make([]int32, n), make([]time.Time, n)
	kinds, froms, tos, steps := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	causes, types := make(pgtype.FlatArray[pgtype.UUID], n), make([]string, n)
	actors, notes, commands := make([]string, n), make([]string, n), make(pgtype.FlatArray[[]byte], n)
	for i, t := range history {
		sagas[i], definitions[i] = t.Ref.ID, t.Ref.Definition
		seqs[i], ats[i], kinds[i] = int32(t.Seq), t.At, string(t.Kind)
		froms[i], tos[i], steps[i] = t.From, t.To, t.Step
		causes[i] = pgtype.UUID{Bytes: t.Cause.ID, Valid: t.Cause.ID != uuid.Nil}
		types[i], actors[i], notes[i] = t.Cause.Type, t.Cause.Actor, t.Note
		list := make([]Sent, len(t.Commands))
		for j, c := range t.Commands {
			list[j] = Sent{ID: c.ID, Type: c.Type, Step: c.Step, Undo: c.Undo, Attempt: c.Attempt}
		}
		var err error
		if commands[i], err = json.Marshal(list); err != nil {
			return nil, fmt.Errorf("encode history of saga %s: %w", t.Ref, err)
		}
	}
	return []any{sagas, definitions, seqs, ats, kinds, froms, tos, steps, causes, types, actors, notes, commands}, nil
}
