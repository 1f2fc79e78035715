package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
)

// dueSQL takes sagas whose deadline has passed, the longest overdue first,
// and leaves those that another orchestrator, or a batch of messages, has in
// hand. It reads the index sagas_open from its start and stops at the limit.
// A saga whose definition is not registered here is for an orchestrator that
// knows it; only when nobody took it for a while is it looked at, to be suspended.
// The replies that had come by the deadline must have been read in the saga's
// partition.
const dueSQL = `
select ` + columns + `, coalesce(trouble = $6, false) as unsent, partition
from sagas
where deadline <= coalesce($1, now())
  and deadline <= coalesce((select r.until from unnest($7::int[], $8::timestamptz[]) as r (number, until) where r.number = partition), $9)
  and (exists (select from unnest($2::text[], $3::int[]) as known (d, v) where d = definition and v = version)
       or phase <> 'SUSPENDED' and deadline <= coalesce($1, now()) - $4::interval)
order by deadline limit $5
for update skip locked`

const (
	// unclaimed is how long a saga of an unknown definition may be overdue before it is suspended.
	unclaimed = time.Minute
	// lookAgain is when a saga whose commands have not left is looked at again.
	lookAgain = 15 * time.Second
	// unsentTrouble is the trouble of such a saga.
	unsentTrouble = "a command has not left this database's outbox: its deadlines wait; see explain"
)

// due is a saga whose deadline has passed.
type due struct {
	state saga.State
	// unsent says that its commands had not left the outbox when it was looked at last.
	unsent bool
	read   time.Time // replies that had come by then have been read
}

// passed is the time up to which deadlines of the saga have passed.
func (d due) passed(now time.Time) time.Time {
	if d.read.Before(now) {
		return d.read
	}
	return now
}

// Read is up to when the replies that had come have been read.
type Read struct {
	All time.Time // in every partition
	// Partitions says it for each; one that is not here is like All.
	Partitions map[int32]time.Time
}

// ReadAll says that replies of whatever time have been read.
func ReadAll() Read { return Read{All: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (r Read) of(partition *int32) time.Time {
	if partition != nil {
		if until, ok := r.Partitions[*partition]; ok {
			return until
		}
	}
	return r.All
}

const anyDueSQL = `
select clock_timestamp(), exists (select from sagas where deadline <= now())`

// AnyDue says whether a deadline has passed by the database's clock.
func (s *Store) AnyDue(ctx context.Context) (due bool, err error) {
	var now time.Time
	asked := time.Now()
	if err := s.Pool.QueryRow(ctx, anyDueSQL).Scan(&now, &due); err != nil {
		return false, fmt.Errorf("look for deadlines: %w", err)
	}
	s.clock.set(now, asked, time.Now())
	return due, nil
}

// ApplyDue acts on the deadlines of at most limit sagas that have passed at now
// (the zero time: by the database's clock) and whose replies have been read, in
// one transaction, and returns how many sagas it took.
func (s *Store) ApplyDue(ctx context.Context, now time.Time, read Read, limit int) (int, error) {
	taken, report := 0, func() {}
	err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		list, at, err := s.due(ctx, tx, now, read, limit)
		if err != nil {
			return err
		}
		taken = len(list)
		if taken == 0 {
			return nil
		}
		report, err = s.applyDue(ctx, tx, list, at)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("act on deadlines: %w", err)
	}
	report()
	return taken, nil
}

func (s *Store) due(ctx context.Context, tx pgx.Tx, now time.Time, read Read, limit int) (list []due, at time.Time, err error) {
	names, versions := s.known()
	numbers, untils := make([]int32, 0, len(read.Partitions)), make([]time.Time, 0, len(read.Partitions))
	for number, until := range read.Partitions {
		numbers, untils = append(numbers, number), append(untils, until)
	}
	var batch pgx.Batch
	var clock time.Time
	batch.Queue("select clock_timestamp()").QueryRow(func(row pgx.Row) error { return row.Scan(&clock) })
	batch.Queue(dueSQL, unlessZero(now), names, versions, unclaimed, limit, unsentTrouble,
		numbers, untils, read.All).Query(func(rows pgx.Rows) error {
		list, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (due, error) {
			one, err := pgx.RowToStructByName[dueRow](r)
			if err != nil {
				return due{}, err
			}
			state, err := one.state()
			return due{state, one.Unsent, read.of(one.Partition)}, err
		})
		return err
	})
	asked := time.Now()
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, at, err
	}
	s.clock.set(clock, asked, time.Now())
	if now.IsZero() {
		now = clock
	}
	return list, now, nil
}

type dueRow struct {
	row
	Unsent    bool
	Partition *int32
}

func (s *Store) applyDue(ctx context.Context, tx pgx.Tx, list []due, now time.Time) (report func(), err error) {
	waits, err := unsent(ctx, tx, list, now)
	if err != nil {
		return nil, err
	}
	loaded := make(Loaded, len(list))
	for _, d := range list {
		loaded[d.state.ID] = append(loaded[d.state.ID], d.state)
	}
	w := s.work(loaded)
	var later postponed
	for _, d := range list {
		ref := d.state.Ref()
		missing := waits.of(d.state, d.passed(now))
		in := saga.Due{By: d.passed(now), Unsent: missing, Restart: d.unsent}
		if err := w.apply(Event{Ref: ref, Input: in}, now); err != nil {
			s.Log.Error("deadline cannot be acted on", "saga", ref.String(), "error", err)
			later.add(ref, now.Add(unclaimed), saga.Text("its deadline cannot be acted on: "+err.Error()))
		} else if len(missing) > 0 {
			later.add(ref, now.Add(lookAgain), unsentTrouble)
		}
	}
	var writes pgx.Batch
	if err := w.save(&writes); err != nil {
		return nil, err
	}
	later.queue(&writes)
	if err := outbox.Queue(&writes, w.messages...); err != nil {
		return nil, err
	}
	return w.report, tx.SendBatch(ctx, &writes).Close()
}

// postponed are sagas that are looked at again later, without a line in their
// histories: nothing has happened to them.
type postponed struct {
	ids, definitions, why []string
	until                 []time.Time
}

func (p *postponed) add(ref saga.Ref, until time.Time, why string) {
	p.ids, p.definitions = append(p.ids, ref.ID), append(p.definitions, ref.Definition)
	p.until, p.why = append(p.until, until), append(p.why, why)
}

const postponeSQL = `
update sagas s set deadline = n.until, trouble = n.why
from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) as n (id, definition, until, why)
where s.id = n.id and s.definition = n.definition and s.deadline is not null`

func (p *postponed) queue(writes *pgx.Batch) {
	if len(p.ids) > 0 {
		writes.Queue(postponeSQL, p.ids, p.definitions, p.until, p.why)
	}
}

// A command that was published, or discarded by an operator, has had its chance.
// Rows are found by key, which is indexed; of the sagas that are due there are few.
const unsentSQL = `
select event_id from outbox_status
where key = any ($1) and event_id = any ($2) and status not in ('published', 'discarded')`

// unsentCommands are commands that have not left the outbox.
type unsentCommands map[uuid.UUID]bool

// unsent looks for the commands whose answers are overdue in the outbox. Nobody
// keeps the saga waiting who was never asked: the relay may be paused, the topic
// may be missing or forbidden, the broker may be down.
func unsent(ctx context.Context, tx pgx.Tx, list []due, now time.Time) (unsentCommands, error) {
	var keys []string
	var ids []uuid.UUID
	for _, d := range list {
		if overdue := d.state.Overdue(d.passed(now)); len(overdue) > 0 {
			keys, ids = append(keys, d.state.ID), append(ids, overdue...)
		}
	}
	found := unsentCommands{}
	if len(ids) == 0 {
		return found, nil
	}
	rows, err := tx.Query(ctx, unsentSQL, keys, ids)
	if err != nil {
		return nil, fmt.Errorf("look for commands in the outbox: %w", err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("look for commands in the outbox: %w", err)
	}
	for _, id := range left {
		found[id] = true
	}
	return found, nil
}

func (u unsentCommands) of(s saga.State, now time.Time) []uuid.UUID {
	if len(u) == 0 {
		return nil
	}
	return slices.DeleteFunc(s.Overdue(now), func(id uuid.UUID) bool { return !u[id] })
}

// Those suspended sagas that wait for nothing else are found by no deadline.
const wakeSQL = `
update sagas set deadline = coalesce($1, now())
where phase = 'SUSPENDED' and deadline = 'infinity'
  and exists (select from unnest($2::text[], $3::int[]) as known (d, v) where d = definition and v = version)`

// WakeSuspended makes the suspended sagas whose definition is registered here due,
// so that they go on, and returns how many.
func (s *Store) WakeSuspended(ctx context.Context, now time.Time) (int, error) {
	names, versions := s.known()
	tag, err := s.Pool.Exec(ctx, wakeSQL, unlessZero(now), names, versions)
	if err != nil {
		return 0, fmt.Errorf("wake suspended sagas: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// known are the definitions that are registered here, as two arrays.
func (s *Store) known() (names []string, versions []int32) {
	for _, d := range s.Registry.Definitions() {
		names, versions = append(names, d.Name()), append(versions, int32(d.Version()))
	}
	return names, versions
}
