package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// tablesEvery is how often the database is asked at most, however often metrics are: sizes take
	// it 9 ms, and change slowly.
	tablesEvery = time.Minute
	// tablesTimeout bounds how long a scrape waits: a table may be locked.
	tablesTimeout = time.Second
)

// tablesSQL reads what Postgres keeps count of by itself. Rows are estimates.
const tablesSQL = `
select s.relname as name, pg_catalog.pg_total_relation_size(s.relid) as bytes, s.n_live_tup as rows, s.n_dead_tup as dead
  from pg_catalog.pg_stat_user_tables s
 where s.schemaname = 'public'`

type table struct {
	Name              string
	Bytes, Rows, Dead int64
}

// Tables reports how large the tables of a database are, as waybill_table_* with the label table:
// whether retention and vacuum keep up shows there. Each service reports those of its own database,
// as they were within the last minute.
// Where the database does not answer within a second, they are left out.
func Tables(reg prometheus.Registerer, pool *pgxpool.Pool) {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"table"}, nil)
	}
	reg.MustRegister(&tables{
		pool:  pool,
		bytes: desc("waybill_table_bytes", "Size of a table with its indexes."),
		rows:  desc("waybill_table_rows", "Rows of a table, as Postgres estimates them."),
		dead:  desc("waybill_table_dead_rows", "Rows of a table that vacuum has not removed yet, as Postgres estimates them."),
	})
}

type tables struct {
	pool              *pgxpool.Pool
	bytes, rows, dead *prometheus.Desc

	mu    sync.Mutex
	asked time.Time
	known []table
}

// Describe implements [prometheus.Collector].
func (t *tables) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{t.bytes, t.rows, t.dead} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (t *tables) Collect(to chan<- prometheus.Metric) {
	for _, one := range t.current() {
		for desc, value := range map[*prometheus.Desc]int64{t.bytes: one.Bytes, t.rows: one.Rows, t.dead: one.Dead} {
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), one.Name)
		}
	}
}

func (t *tables) current() []table {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.asked) < tablesEvery {
		return t.known
	}
	t.asked = time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), tablesTimeout) // a collector is given none
	defer cancel()
	rows, err := t.pool.Query(ctx, tablesSQL)
	if err == nil {
		t.known, err = pgx.CollectRows(rows, pgx.RowToStructByName[table])
	}
	if err != nil {
		t.known = nil // an old size would look like a table that does not grow
	}
	return t.known
}
