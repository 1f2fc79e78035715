package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Stats is how the sagas are doing as a whole.
type Stats struct {
	Open    []OpenStats  `json:"open" nullable:"false" doc:"All sagas that have not ended, by state"`
	Ended   []EndedStats `json:"ended" nullable:"false" doc:"Sagas that began within the window and have ended, by the end they reached"`
	Window  string       `json:"window"`
	Started int64        `json:"started" doc:"Sagas that began within the window"`
	// StartedPerSecond is over the window.
	StartedPerSecond float64 `json:"startedPerSecond"`
	EndedPerSecond   float64 `json:"endedPerSecond"`
	Stored           int64   `json:"stored" doc:"Sagas in the table, as Postgres estimates it"`
}

// OpenStats counts the sagas of one state.
type OpenStats struct {
	State   string    `json:"state"`
	Count   int64     `json:"count"`
	Overdue int64     `json:"overdue" doc:"Those whose deadline has passed"`
	Stuck   int64     `json:"stuck" doc:"Those that a person should look at"`
	Oldest  time.Time `json:"oldest" doc:"When the oldest began"`
}

// EndedStats are the sagas that reached one end.
type EndedStats struct {
	State string  `json:"state"`
	Count int64   `json:"count"`
	P50   float64 `json:"p50Ms" doc:"Milliseconds from start to end: median"`
	P90   float64 `json:"p90Ms"`
	P99   float64 `json:"p99Ms"`
	Max   float64 `json:"maxMs"`
}

// Reads the small index of open sagas, however many have ended.
const openStatsSQL = `
select state, count(*), count(*) filter (where deadline < $1) as overdue, count(*) filter (where trouble is not null) as stuck, min(started_at) as oldest
from sagas where deadline is not null
group by state order by state`

// Reads the window's part of the index sagas_started.
const endedStatsSQL = `
with ended as (
    select state, extract(epoch from ended_at - started_at) * 1000 as ms
    from sagas where started_at > $1 and deadline is null
)
select state, count(*),
       percentile_cont(0.5) within group (order by ms) as p50, percentile_cont(0.9) within group (order by ms) as p90,
       percentile_cont(0.99) within group (order by ms) as p99, max(ms)::float8 as max
from ended group by state order by state`

const startedSQL = `
select (select count(*) from sagas where started_at > $1),
       (select greatest(reltuples, 0)::bigint from pg_class where oid = 'sagas'::regclass)`

// Stats looks at all open sagas, and at those that began within window of now.
func (s *Store) Stats(ctx context.Context, now time.Time, window time.Duration) (Stats, error) {
	stats := Stats{Window: window.String()}
	batch := &pgx.Batch{}
	batch.Queue(openStatsSQL, now).Query(func(rows pgx.Rows) (err error) {
		stats.Open, err = pgx.CollectRows(rows, pgx.RowToStructByPos[OpenStats])
		return err
	})
	batch.Queue(endedStatsSQL, now.Add(-window)).Query(func(rows pgx.Rows) (err error) {
		stats.Ended, err = pgx.CollectRows(rows, pgx.RowToStructByPos[EndedStats])
		return err
	})
	batch.Queue(startedSQL, now.Add(-window)).QueryRow(func(row pgx.Row) error {
		return row.Scan(&stats.Started, &stats.Stored)
	})
	if err := s.ForPeople().SendBatch(ctx, batch).Close(); err != nil {
		return Stats{}, fmt.Errorf("read statistics: %w", err)
	}
	stats.StartedPerSecond = float64(stats.Started) / window.Seconds()
	for _, e := range stats.Ended {
		stats.EndedPerSecond += float64(e.Count) / window.Seconds()
	}
	return stats, nil
}

// Open counts the sagas that have not ended, by state.
func (s *Store) Open(ctx context.Context, now time.Time) ([]OpenStats, error) {
	rows, err := s.Pool.Query(ctx, openStatsSQL, now)
	if err != nil {
		return nil, fmt.Errorf("count open sagas: %w", err)
	}
	open, err := pgx.CollectRows(rows, pgx.RowToStructByPos[OpenStats])
	if err != nil {
		return nil, fmt.Errorf("count open sagas: %w", err)
	}
	return open, nil
}

// Deadline is one thing that a saga waits for.
type Deadline struct {
	Saga       string    `json:"saga"`
	Definition string    `json:"definition"`
	State      string    `json:"state"`
	Step       string    `json:"step"`
	Undo       bool      `json:"undo,omitzero" doc:"True where the step is being taken back"`
	Attempts   int       `json:"attempts" doc:"Commands sent for it"`
	DueAt      time.Time `json:"dueAt"`
}

const deadlinesSQL = `
select d.saga_id, d.definition, s.version, d.state, d.step_index, d.undo, d.attempts, d.due_at
from sagas s join saga_deadlines d on d.saga_id = s.id and d.definition = s.definition
where s.deadline is not null and s.deadline < $1 and d.due_at < $1
order by s.deadline, d.due_at limit $2`

// Deadlines lists deadlines that come before a time, the earliest first.
func (s *Store) Deadlines(ctx context.Context, before time.Time, limit int) ([]Deadline, error) {
	rows, err := s.ForPeople().Query(ctx, deadlinesSQL, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list deadlines: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (Deadline, error) {
		var d Deadline
		var version, step int
		err := r.Scan(&d.Saga, &d.Definition, &version, &d.State, &step, &d.Undo, &d.Attempts, &d.DueAt)
		d.Step = fmt.Sprintf("step %d", step+1)
		if def, ok := s.Registry.Definition(d.Definition, version); ok && step < len(def.StepNames()) {
			d.Step = def.StepNames()[step]
		}
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("list deadlines: %w", err)
	}
	return list, nil
}
