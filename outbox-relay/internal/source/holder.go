package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Holder is the session that has the lead, as others see it.
type Holder struct {
	PID uint32
	// Activity changes with every statement that the session runs.
	Activity string
	// AwaitsClient says that the server has done its part and waits for the relay.
	AwaitsClient bool
	// Role is the login of the session.
	Role string
	// Relay says that it can be a relay: it calls itself one, and its role may move the cursor. Any
	// role that may connect can take an advisory lock.
	Relay bool
}

// HolderError says that the lead is held by a session that is no relay.
type HolderError struct {
	Database, Role string
	PID            uint32
}

// Error implements error.
func (e *HolderError) Error() string {
	return fmt.Sprintf("the lead of %s is held by role %s, pid %d, which is no relay: find out who it is, and end its session", e.Database, e.Role, e.PID)
}

// Trouble returns a [HolderError] if the holder is no relay.
func (s *Session) Trouble(h Holder) error {
	if h.Relay {
		return nil
	}
	return &HolderError{Database: s.database, Role: h.Role, PID: h.PID}
}

// leadingSQL is the session that has the lock of the leader. Its parameter is LeaderLock.
const leadingSQL = `
  from pg_locks l
  join pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'advisory' and l.granted and l.objsubid = 1
   and l.database = (select oid from pg_database where datname = current_database())
   and l.classid::bigint << 32 | l.objid::bigint = $1`

// A leader runs a statement every half second, if only to check that it still leads. The activity
// of sessions of other roles is only shown to members of pg_read_all_stats; it is null here then.
const holderSQL = `
select a.pid, coalesce(a.state_change::text, ''), coalesce(a.wait_event_type = 'Client', false), coalesce(a.usename::text, ''),
       coalesce(a.application_name = 'outbox-relay' and has_table_privilege(a.usesysid, 'public.outbox_cursor', 'update'), false)` + leadingSQL

// LedSQL says whether a relay leads the database, by the lock that its session holds; its parameter
// is LeaderLock. The name in the cursor is that of who led last.
const LedSQL = `exists (select` + leadingSQL + ` and a.application_name = 'outbox-relay')`

// Holder looks at the session that leads. It returns false if there is none.
func (s *Session) Holder(ctx context.Context) (Holder, bool, error) {
	var h Holder
	err := s.conn.QueryRow(ctx, holderSQL, int64(LeaderLock)).Scan(&h.PID, &h.Activity, &h.AwaitsClient, &h.Role, &h.Relay)
	if errors.Is(err, pgx.ErrNoRows) {
		return h, false, nil
	}
	if err != nil {
		return h, false, fmt.Errorf("look at the leader of database %s: %w", s.database, err)
	}
	return h, true, nil
}

const evictSQL = `select pg_terminate_backend($1)`

// Evict ends the session of a leader that is frozen, and with it its lead. A role may end sessions
// of its own, and members of pg_signal_backend those of others.
func (s *Session) Evict(ctx context.Context, h Holder) error {
	if _, err := s.conn.Exec(ctx, evictSQL, int32(h.PID)); err != nil {
		return fmt.Errorf("end the session of the frozen leader of database %s: %w", s.database, err)
	}
	return nil
}
