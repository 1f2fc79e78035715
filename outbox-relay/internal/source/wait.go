package source

import (
	"context"
	"fmt"
	"time"
)

const (
	sleepSQL = `
update outbox_wakeup set sleeping = $2
 where sleeping <> $2 and exists (select from outbox_cursor where epoch = $1)`
	checkTermSQL = `select paused from outbox_cursor where epoch = $1`
)

// SetSleeping tells writers whether the relay has to be notified of their rows.
func (s *Session) SetSleeping(ctx context.Context, sleeping bool) error {
	if _, err := s.conn.Exec(ctx, sleepSQL, s.epoch, sleeping); err != nil {
		return fmt.Errorf("set the sleeping flag of database %s: %w", s.database, err)
	}
	return nil
}

// CheckTerm returns ErrDeposed if the session's term is over, and says whether an operator has paused the source.
func (s *Session) CheckTerm(ctx context.Context) (paused bool, err error) {
	rows, err := s.conn.Query(ctx, checkTermSQL, s.epoch)
	if err != nil {
		return false, fmt.Errorf("check the lead of database %s: %w", s.database, err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return false, fmt.Errorf("check the lead of database %s: %w", s.database, err)
		}
		return false, ErrDeposed
	}
	return paused, rows.Scan(&paused)
}

// WaitForRow waits until a writer notifies, or for as long as timeout. Notifications that came before are consumed
// by the next call, so none is missed between reading and waiting.
func (s *Session) WaitForRow(ctx context.Context, timeout time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := s.conn.WaitForNotification(waiting)
	if waiting.Err() != nil || err == nil {
		return ctx.Err()
	}
	return fmt.Errorf("wait for new rows of database %s: %w", s.database, err)
}
