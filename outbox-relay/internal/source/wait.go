package source

import (
	"context"
	"fmt"
	"time"
)

// The advisory lock that the relay holds while it sleeps: "outboy" in ASCII, as in the trigger
// outbox_wake.
const sleepLock = LeaderLock + 1

const (
	sleepSQL     = `select pg_try_advisory_lock($1)`
	wakeUpSQL    = `select pg_advisory_unlock($1)`
	checkTermSQL = `
select paused, pg_backend_pid(), exists (select from public.outbox_replay where state in ('waiting', 'running'))
  from public.outbox_cursor
 where epoch = $1`
)

// Sleep tells writers that the relay has to be notified of their rows, from here to WakeUp or the
// end of the session. It returns false if a transaction is open that has inserted rows and has
// found the relay awake. So once it returns true, a read finds every row that is not notified of.
func (s *Session) Sleep(ctx context.Context) (sleeps bool, err error) {
	if err := s.conn.QueryRow(ctx, sleepSQL, int64(sleepLock)).Scan(&sleeps); err != nil {
		return false, fmt.Errorf("go to sleep on database %s: %w", s.database, err)
	}
	return sleeps, nil
}

// WakeUp tells writers that the relay looks for rows by itself.
func (s *Session) WakeUp(ctx context.Context) error {
	if _, err := s.conn.Exec(ctx, wakeUpSQL, int64(sleepLock)); err != nil {
		return fmt.Errorf("wake up on database %s: %w", s.database, err)
	}
	return nil
}

// As the trigger outbox_wake decides, for writers whose roles say nothing of their own.
const writersNotifySQL = `
select coalesce(current_setting('waybill.notify', true), '') = 'on'
    or coalesce(current_setting('waybill.notify', true), '') <> 'off' and current_setting('max_prepared_transactions') = '0'`

// writersNotify says whether writers notify a relay that sleeps. They do not where they may prepare
// their transactions.
func (s *Session) writersNotify(ctx context.Context) (notify bool, err error) {
	if err := s.conn.QueryRow(ctx, writersNotifySQL).Scan(&notify); err != nil {
		return false, fmt.Errorf("ask whether writers of database %s notify: %w", s.database, err)
	}
	return notify, nil
}

// WritersNotify says whether writers notify the relay while it sleeps; where they do not, it has to
// look often.
func (s *Session) WritersNotify() bool { return s.writersTell }

// CheckTerm returns ErrFenced if the session's term is over, and says whether an operator has
// paused the source, and whether there are replays to work on.
func (s *Session) CheckTerm(ctx context.Context) (paused, replays bool, err error) {
	rows, err := s.conn.Query(ctx, checkTermSQL, s.epoch)
	if err != nil {
		return false, false, fmt.Errorf("check the lead of database %s: %w", s.database, err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return false, false, fmt.Errorf("check the lead of database %s: %w", s.database, err)
		}
		return false, false, ErrFenced
	}
	var pid uint32
	if err := rows.Scan(&paused, &pid, &replays); err != nil {
		return false, false, fmt.Errorf("check the lead of database %s: %w", s.database, err)
	}
	if pid != s.pid {
		return false, false, fmt.Errorf("database %s: %w", s.database, ErrTransactionPooler)
	}
	return paused, replays, nil
}

// Notified says whether a writer, or an operator, has notified since the last time it was asked.
// Notifications come along with the answers to statements.
func (s *Session) Notified() bool {
	notified := s.notified
	s.notified = false
	return notified
}

// OperatorAsks is what a notification says that comes from an operator: there may be a pause or a
// replay. Those of writers say nothing.
const OperatorAsks = "operator"

// Asked says whether an operator has notified since the last time it was asked.
func (s *Session) Asked() bool {
	asked := s.asked
	s.asked = false
	return asked
}

// WaitForRow waits until a writer notifies, or for as long as timeout, and says which. What came
// before is reported by the next call, so nothing is missed between reading and waiting.
func (s *Session) WaitForRow(ctx context.Context, timeout time.Duration) (notified bool, err error) {
	if s.Notified() {
		return true, nil
	}
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = s.conn.PgConn().WaitForNotification(waiting)
	switch {
	case s.Notified(), err == nil:
		return true, nil
	case waiting.Err() != nil:
		return false, ctx.Err()
	}
	return false, fmt.Errorf("wait for new rows of database %s: %w", s.database, err)
}
