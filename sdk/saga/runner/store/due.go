package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/saga"
)

// dueSQL takes sagas whose deadline has passed, the longest overdue first, and skips those that
// another process, or a batch of messages, has locked. It reads the index sagas_open from its start
// and stops at the limit; what that finds before its time is passed over. A saga whose definition
// is not registered here is for a process that knows it; only if none has taken it for a while is
// it taken, to be suspended. So is one whose definition is suspended, unless it has ended: then
// what is held for it waits. The replies that had come by the deadline must have been read in the
// saga's partition.
const dueSQL = `
select ` + Columns + `, coalesce(trouble = $6, false) as unsent, partition
from sagas
where wake_at <= coalesce($1, now()) and deadline <= coalesce($1, now())
  and deadline <= coalesce((select r.until from unnest($7::int[], $8::timestamptz[]) as r (number, until) where r.number = partition), $9)
  and (exists (select from unnest($2::text[], $3::int[]) as known (d, v) where d = definition and v = version)
       or phase <> 'SUSPENDED' and deadline <= coalesce($1, now()) - $4::interval
          and (ended_at is null or not exists (select from unnest($10::text[], $11::int[]) as idle (d, v) where d = definition and v = version)))
order by wake_at limit $5
for update skip locked`

// DueQuery says which overdue sagas to take.
type DueQuery struct {
	// Read is up to when replies have been read: later deadlines wait.
	Read Read
	// Limit bounds how many sagas are taken.
	Limit int
	// Unclaimed is how long a saga whose definition is not registered here must be overdue before
	// it is taken all the same.
	Unclaimed time.Duration
	// UnsentTrouble is the trouble of those that were put off since their commands had not left the
	// outbox.
	UnsentTrouble string
}

// DueSaga is a saga whose deadline has passed.
type DueSaga struct {
	State saga.State
	// Unsent says that its commands had not left the outbox when it was last looked at.
	Unsent bool
	read   time.Time // replies that had come by then have been read
}

// Passed is the time up to which deadlines of the saga have passed.
func (d DueSaga) Passed(now time.Time) time.Time {
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

// ReadAll says that all replies have been read.
func ReadAll() Read { return Read{All: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (r Read) of(partition *int32) time.Time {
	if partition != nil {
		if until, ok := r.Partitions[*partition]; ok {
			return until
		}
	}
	return r.All
}

const untilDueSQL = `
select clock_timestamp(), coalesce($1, now()), (select wake_at from sagas where wake_at < 'infinity' order by wake_at limit 1)`

// UntilDue says in how long a saga is to be looked at by the database's clock: its deadline passes
// then, or it had an earlier one. Zero is now; where no saga waits for anything it is the longest
// time that there is.
func (s *Store) UntilDue(ctx context.Context) (time.Duration, error) {
	var clock, now time.Time
	var next *time.Time
	asked := time.Now()
	if err := s.DB.QueryRow(ctx, untilDueSQL, s.fixed()).Scan(&clock, &now, &next); err != nil {
		return 0, fmt.Errorf("look for deadlines: %w", err)
	}
	s.clock.set(clock, asked, time.Now())
	if next == nil {
		return math.MaxInt64, nil
	}
	return max(0, next.Sub(now)), nil
}

// Of the first sagas to be looked at, those that have a later deadline by now, or none.
const moveWakesSQL = `
update sagas s set wake_at = s.deadline
from (select id, definition from sagas
      where (id, definition) in (select id, definition from sagas where wake_at <= coalesce($1, now()) order by wake_at limit $2)
        and (deadline is null or deadline > coalesce($1, now()))
      for no key update skip locked) as early
where s.id = early.id and s.definition = early.definition`

// MoveWakes has the sagas whose deadline was put off looked at when that comes, not before. It
// looks at the first limit sagas that are to be looked at now. [Store.Due] finds the right sagas
// without it, and has more to pass over.
func (s *Store) MoveWakes(ctx context.Context, limit int) error {
	if _, err := s.DB.Exec(ctx, moveWakesSQL, s.fixed(), limit); err != nil {
		return fmt.Errorf("put off when to look at sagas: %w", err)
	}
	return nil
}

// Due locks and returns sagas whose deadline has passed, and the time by the database's clock.
func (s *Store) Due(ctx context.Context, tx pgx.Tx, q DueQuery) (list []DueSaga, now time.Time, err error) {
	names, versions := s.known()
	idle, idleVersions := s.suspended()
	numbers, untils := make([]int32, 0, len(q.Read.Partitions)), make([]time.Time, 0, len(q.Read.Partitions))
	for number, until := range q.Read.Partitions {
		numbers, untils = append(numbers, number), append(untils, until)
	}
	var batch pgx.Batch
	var clock time.Time
	batch.Queue("select clock_timestamp()").QueryRow(func(row pgx.Row) error { return row.Scan(&clock) })
	batch.Queue(dueSQL, s.fixed(), names, versions, q.Unclaimed, q.Limit, q.UnsentTrouble,
		numbers, untils, q.Read.All, idle, idleVersions).Query(func(rows pgx.Rows) error {
		list, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (DueSaga, error) {
			one, err := pgx.RowToStructByName[dueRow](r)
			if err != nil {
				return DueSaga{}, err
			}
			state, err := one.state()
			return DueSaga{state, one.Unsent, q.Read.of(one.Partition)}, err
		})
		return err
	})
	asked := time.Now()
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, now, fmt.Errorf("look for deadlines: %w", err)
	}
	s.clock.set(clock, asked, time.Now())
	if at := s.fixed(); at != nil {
		return list, *at, nil
	}
	return list, clock, nil
}

type dueRow struct {
	row
	Unsent    bool
	Partition *int32
}

// Postponed are sagas that are looked at again later, without a transition: nothing has happened to
// them.
type Postponed struct {
	ids, definitions, why []string
	until                 []time.Time
}

// Add puts a saga off until a time, for the trouble that is the reason.
func (p *Postponed) Add(ref saga.Ref, until time.Time, why string) {
	p.ids, p.definitions = append(p.ids, ref.ID), append(p.definitions, ref.Definition)
	p.until, p.why = append(p.until, until), append(p.why, why)
}

const postponeSQL = `
update sagas s set deadline = n.until, wake_at = n.until, trouble = n.why
from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) as n (id, definition, until, why)
where s.id = n.id and s.definition = n.definition and s.deadline is not null`

// Queue queues what puts the sagas off, if any.
func (p *Postponed) Queue(writes *pgx.Batch) {
	if len(p.ids) > 0 {
		writes.Queue(postponeSQL, p.ids, p.definitions, p.until, p.why)
	}
}

// A command that was published, or discarded by an operator, has had its chance. Rows are found by
// key, which is indexed; of the sagas that are due there are few.
const unsentSQL = `
select event_id from outbox_status
where key = any ($1) and event_id = any ($2) and status not in ('published', 'discarded')`

// Unsent returns those of the commands with the given ids, of sagas with the given ids, that have
// not left the outbox.
func (s *Store) Unsent(ctx context.Context, tx pgx.Tx, sagas []string, commands []uuid.UUID) (map[uuid.UUID]bool, error) {
	if len(commands) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, unsentSQL, sagas, commands)
	if err != nil {
		return nil, fmt.Errorf("look for commands in the outbox: %w", err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("look for commands in the outbox: %w", err)
	}
	found := make(map[uuid.UUID]bool, len(left))
	for _, id := range left {
		found[id] = true
	}
	return found, nil
}

// Suspended sagas that wait for nothing else have no deadline by which Due would find them.
const wakeSQL = `
update sagas set deadline = coalesce($1, now()), wake_at = coalesce($1, now())
where trouble is not null and phase = 'SUSPENDED' and deadline = 'infinity' and extra ->> 'suspendedBy' is null
  and exists (select from unnest($2::text[], $3::int[]) as known (d, v) where d = definition and v = version)`

// WakeSuspended makes the suspended sagas whose definition is registered here due, so that they go
// on, and returns how many. Those that an operator suspended are left to the operator.
func (s *Store) WakeSuspended(ctx context.Context) (int, error) {
	names, versions := s.known()
	tag, err := s.DB.Exec(ctx, wakeSQL, s.fixed(), names, versions)
	if err != nil {
		return 0, fmt.Errorf("wake suspended sagas: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// known are the definitions that are registered here and not suspended, as two arrays.
func (s *Store) known() (names []string, versions []int32) {
	idle := s.Registry.Suspensions()
	for _, d := range s.Registry.Definitions() {
		if !slices.ContainsFunc(idle, func(i saga.Suspension) bool { return i.Definition == d.Name() && i.Version == d.Version() }) {
			names, versions = append(names, d.Name()), append(versions, int32(d.Version()))
		}
	}
	return names, versions
}

// suspended are those that are suspended.
func (s *Store) suspended() (names []string, versions []int32) {
	for _, i := range s.Registry.Suspensions() {
		names, versions = append(names, i.Definition), append(versions, int32(i.Version))
	}
	return names, versions
}
