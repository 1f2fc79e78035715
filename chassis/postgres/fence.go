package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrStandby is why a session with a server in recovery is not used: it takes no writes, and
	// once it does, it may lack what others have seen.
	ErrStandby = errors.New("the database is a standby")
	// ErrReplaced is why a session with a primary is not used: another has been promoted since.
	ErrReplaced = errors.New("the database is on a primary that was replaced by another")
)

// reasonReadOnly is a consumer's while no server is found that takes its writes.
const reasonReadOnly = "database_read_only"

// Fence keeps the sessions of a process with one database on the primary that was promoted last.
// Each promotion begins a new timeline of the cluster, so a server on an earlier one than a session
// has seen is a primary that was replaced. It may take writes all the same: it was cut off, or
// frozen, or was started again, and what is written to it is lost. Only who promotes a
// standby can keep every process from it; the fence keeps those from it that know better, and lets
// them use the other hosts of their URL.
//
// Another system identifier is another cluster, and a new history. One that was
// restored to an earlier timeline under the same identifier is refused until the process is
// restarted; recovery takes a new timeline where it sees the archive of the old ones.
//
// The zero value is ready for use, by any number of goroutines.
type Fence struct {
	// Passed, if set, is called when a session is with a later primary than those before it, which
	// are to be closed.
	Passed func()

	mu       sync.Mutex
	system   string
	timeline int64
}

// historySQL has names with their schema: nothing is set up yet, and what others have created must
// not be called instead.
const historySQL = `
select pg_catalog.pg_is_in_recovery(), system_identifier,
       case when not pg_catalog.pg_is_in_recovery()
            then pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8) end
from pg_catalog.pg_control_system()`

// After returns a connection's ValidateConnect: what the URL demands, then [ErrStandby] and
// [ErrReplaced]. It costs a round trip per connection. A server that does not tell its timeline is
// not refused.
func (f *Fence) After(validate pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		if validate != nil {
			if err := validate(ctx, conn); err != nil {
				return err
			}
		}
		results, err := conn.Exec(ctx, historySQL).ReadAll()
		if _, refused := errors.AsType[*pgconn.PgError](err); refused {
			return nil // some managed servers have no such functions
		}
		if err != nil {
			return fmt.Errorf("ask the server for its timeline: %w", err)
		}
		if len(results) != 1 || len(results[0].Rows) != 1 {
			return nil
		}
		row := results[0].Rows[0]
		if string(row[0]) == "t" {
			return ErrStandby
		}
		timeline, err := strconv.ParseInt(string(row[2]), 16, 64)
		if err != nil {
			return nil //nolint:nilerr // nor are their log files always named so
		}
		return f.admit(string(row[1]), timeline)
	}
}

func (f *Fence) admit(system string, timeline int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case system == f.system && timeline < f.timeline:
		return fmt.Errorf("%w: its timeline is %d, and that of the other %d", ErrReplaced, timeline, f.timeline)
	case system == f.system && timeline == f.timeline:
		return nil
	}
	first := f.system == ""
	f.system, f.timeline = system, timeline
	if !first && f.Passed != nil {
		f.Passed()
	}
	return nil
}
