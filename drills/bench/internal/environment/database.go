package environment

import (
	"context"
	"fmt"

	"waybill.example/drills/bench/internal/procstat"
)

// Writes is what a system's databases have written so far. Differences count, not values.
type Writes struct {
	WAL  int64 // bytes, of the whole server
	Rows int64 // inserted, updated and deleted; sessions report theirs a second late
}

const walSQL = `select (pg_current_wal_lsn() - '0/0')::bigint`

const rowsSQL = `
select tup_inserted + tup_updated + tup_deleted from pg_stat_database where datname = current_database()`

// Writes reads what the databases have written so far.
func (s *System) Writes(ctx context.Context) (w Writes, err error) {
	if err := s.orders.QueryRow(ctx, walSQL).Scan(&w.WAL); err != nil {
		return w, fmt.Errorf("read the position of the WAL: %w", err)
	}
	for _, name := range s.names {
		var rows int64
		if err := s.outboxes[name].QueryRow(ctx, rowsSQL).Scan(&rows); err != nil {
			return w, fmt.Errorf("count the rows that %s has written: %w", name, err)
		}
		w.Rows += rows
	}
	return w, nil
}

// Switches is how many context switches the system's processes have made so far.
func (s *System) Switches() (total int64) {
	for _, p := range s.Processes() {
		if p.Pid != 0 {
			total += procstat.Switches(p.Pid)
		}
	}
	return total
}
