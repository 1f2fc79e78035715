package source

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrTransactionPooler means that the session is not the relay's own: a pooler gives each
// transaction another one. The lock by which a relay leads would stay behind in one of them, and
// notifications would come to others.
var ErrTransactionPooler = errors.New("this goes through a pooler in transaction mode, and the relay needs a session of its own: " +
	"connect directly, or through a pooler in session mode")

const backendSQL = `select pg_backend_pid()`

// ownsSession returns ErrTransactionPooler where statements go to whatever session of a pool is
// free. A pooler shows by giving out a process id of its own making; its mode by what becomes of a
// statement while another connection is in a transaction: it goes elsewhere than the one before, or
// that transaction went where this one was.
func (s *Session) ownsSession(ctx context.Context, dsn string) error {
	var err error
	if s.pid, err = s.backend(ctx); err != nil || s.pid == s.conn.PgConn().PID() {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, poolerTimeout)
	defer cancel()
	other, err := connect(ctx, s.fence, s.database, dsn)
	if err != nil {
		return fmt.Errorf("find out how the pooler in front of database %s works: %w", s.database, err)
	}
	defer other.Close(ctx)
	for range 3 {
		shared, err := s.sharedWith(ctx, other)
		if err != nil {
			return err
		}
		if shared {
			return fmt.Errorf("database %s: %w", s.database, ErrTransactionPooler)
		}
	}
	return nil
}

// A pooler that has no second connection to give away lets the first one wait.
const poolerTimeout = 10 * time.Second

func (s *Session) sharedWith(ctx context.Context, other *Session) (bool, error) {
	tx, err := other.conn.Begin(ctx)
	if err != nil {
		return false, fmt.Errorf("find out how the pooler in front of database %s works: %w", s.database, err)
	}
	defer tx.Rollback(ctx) //nolint:errcheck // it has done nothing
	others, err := other.backend(ctx)
	if err != nil {
		return false, err
	}
	mine, err := s.backend(ctx)
	return others == mine || mine != s.pid, err
}

// Without a prepared statement, which a transaction pooler may not find again.
func (s *Session) backend(ctx context.Context) (pid uint32, err error) {
	results, err := s.conn.PgConn().Exec(ctx, backendSQL).ReadAll()
	if err == nil {
		_, err = fmt.Sscan(string(results[0].Rows[0][0]), &pid)
	}
	if err != nil {
		return 0, fmt.Errorf("ask database %s for the session's process: %w", s.database, err)
	}
	return pid, nil
}
