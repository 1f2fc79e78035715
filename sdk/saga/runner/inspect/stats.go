package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/saga/runner/store"
)

// Stats is how the sagas are doing as a whole.
type Stats struct {
	Open    []store.OpenStats `json:"open" nullable:"false" doc:"All sagas that have not ended, by state"`
	Ended   []EndedStats      `json:"ended" nullable:"false" doc:"Sagas that began within the window and have ended, by the end they reached"`
	Window  string            `json:"window"`
	Started int64             `json:"started" doc:"Sagas that began within the window"`
	// StartedPerSecond is over the window.
	StartedPerSecond float64 `json:"startedPerSecond"`
	EndedPerSecond   float64 `json:"endedPerSecond"`
	Stored           int64   `json:"stored" doc:"Sagas in the table, as Postgres estimates it"`
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
func (i *Inspector) Stats(ctx context.Context, now time.Time, window time.Duration) (Stats, error) {
	stats := Stats{Window: window.String()}
	batch := &pgx.Batch{}
	batch.Queue(store.OpenStatsSQL, now).Query(func(rows pgx.Rows) (err error) {
		stats.Open, err = pgx.CollectRows(rows, pgx.RowToStructByPos[store.OpenStats])
		return err
	})
	batch.Queue(endedStatsSQL, now.Add(-window)).Query(func(rows pgx.Rows) (err error) {
		stats.Ended, err = pgx.CollectRows(rows, pgx.RowToStructByPos[EndedStats])
		return err
	})
	batch.Queue(startedSQL, now.Add(-window)).QueryRow(func(row pgx.Row) error {
		return row.Scan(&stats.Started, &stats.Stored)
	})
	if err := i.db.SendBatch(ctx, batch).Close(); err != nil {
		return Stats{}, fmt.Errorf("read statistics: %w", err)
	}
	stats.StartedPerSecond = float64(stats.Started) / window.Seconds()
	for _, e := range stats.Ended {
		stats.EndedPerSecond += float64(e.Count) / window.Seconds()
	}
	return stats, nil
}
