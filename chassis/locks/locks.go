// Package locks says which sessions hold what a service waits for in its database, and ends one
// that an operator names, where the service's login may.
//
// A consumer waits for a lock for two seconds and does other work between attempts, so who holds it
// is to be seen now and then only. What was seen is remembered for as long as that transaction is
// open.
//
// A login may end the sessions of its own role alone. That is enough for what a service or a person
// with its login has left open, and deliberately no more: the role that may end those of others
// (pg_signal_backend) may do so in every database of the server.
package locks

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/chassis/auditlog"
	"waybill.example/chassis/postgres"
)

// Errors of End that a caller can tell apart.
var (
	ErrNotHeld    = errors.New("the session does not hold up this service, or no longer")
	ErrNotAllowed = errors.New("the session belongs to another role, whose sessions this service may not end")
)

// Watch remembers who has held what a service waits for. It is safe for concurrent use.
type Watch struct {
	pool *pgxpool.Pool
	mu   sync.Mutex
	seen []postgres.Blocker
}

// New returns a Watch over the sessions of the application of pool.
func New(pool *pgxpool.Pool) *Watch { return &Watch{pool: pool} }

// Holders returns the sessions that hold something that this service waits for, or waited for a
// moment ago.
func (w *Watch) Holders(ctx context.Context) ([]postgres.Blocker, error) {
	w.mu.Lock()
	seen := w.seen
	w.mu.Unlock()
	found, err := postgres.Blockers(ctx, w.pool, seen...)
	if err == nil {
		w.remember(found)
	}
	return found, err
}

// remember replaces what was seen: who is not found any more has ended the transaction, or another
// look at the same time has found them.
func (w *Watch) remember(found []postgres.Blocker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = found
}

// Names names who holds what is waited for at this moment, a line per session, without its
// statement. A consumer calls it while an attempt takes long (kafka.ConsumerOptions.Blockers).
func (w *Watch) Names(ctx context.Context) ([]string, error) {
	found, err := postgres.Blockers(ctx, w.pool)
	if len(found) > 0 {
		w.remember(found)
	}
	names := make([]string, len(found))
	for i, b := range found {
		names[i] = b.String()
	}
	return names, err
}

// The session is ended only while it is in the transaction that was looked at: its process may have
// begun another, or be another's by now.
const endSQL = `
select pg_terminate_backend(v.pid) from pg_locks v
 where v.locktype = 'virtualxid' and v.granted and v.pid = $1 and v.virtualxid = $2`

// End ends a session that holds something up, which rolls its transaction back, and records who did
// so and why. The error is [ErrNotHeld] or [ErrNotAllowed] where that is so.
func (w *Watch) End(ctx context.Context, pid int32, transaction string, entry auditlog.Entry) error {
	held, err := w.Holders(ctx)
	if err != nil {
		return err
	}
	for _, b := range held {
		if b.PID == pid && b.Transaction == transaction {
			return w.end(ctx, b, entry)
		}
	}
	return ErrNotHeld
}

func (w *Watch) end(ctx context.Context, b postgres.Blocker, entry auditlog.Entry) error {
	entry.Action, entry.Object = "session.end", fmt.Sprintf("session/%d", b.PID)
	entry.Before = map[string]any{"login": b.User, "application": b.Application, "state": b.State, "tables": b.Tables}
	return pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		// First, since it can be refused; an entry that fails leaves a session ended whose
		// transaction was in the way, and the operator with the error.
		ended := false
		err := tx.QueryRow(ctx, endSQL, b.PID, b.Transaction).Scan(&ended)
		refused, _ := errors.AsType[*pgconn.PgError](err)
		switch {
		case errors.Is(err, pgx.ErrNoRows) || err == nil && !ended:
			return ErrNotHeld
		case refused != nil && refused.Code == insufficientPrivilege:
			return fmt.Errorf("%w: its own role can, or an administrator of the server, by select pg_terminate_backend(%d)", ErrNotAllowed, b.PID)
		case err != nil:
			return fmt.Errorf("end session %d: %w", b.PID, err)
		}
		return auditlog.Append(ctx, tx, entry)
	})
}

const insufficientPrivilege = "42501"
