package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Every wait of a session has a bound, so that nothing waits for a peer that has vanished, and
// nothing keeps locks that works no more.
const (
	// LockTimeout bounds one wait for a lock. A session that holds it longer delays those who need
	// it, not the messages behind them.
	LockTimeout = 2 * time.Second
	// statementTimeout bounds one statement. HTTP requests give up sooner, by their own deadline.
	statementTimeout = 20 * time.Second
	// idleInTransactionTimeout ends the transaction of a process that was paused, or whose machine
	// is gone, between two statements of it. The sum of this and a consumer's session.timeout.ms is
	// how long its successor has to wait.
	idleInTransactionTimeout = 8 * time.Second
	// failFastLockTimeout and failFastStatementTimeout apply to attempts that find out which of
	// many messages has to wait; see [FailFast].
	failFastLockTimeout      = 20 * time.Millisecond
	failFastStatementTimeout = 5 * time.Second
	// userTimeout is how long the peer's kernel may leave data unacknowledged, on either side.
	userTimeout = 10 * time.Second
)

// sessionSQL prepares a session. It sets all that a promise depends on, so that a setting of the
// database or the role cannot take it away: an order is accepted only once it is on disk (weaker
// values of synchronous_commit are raised, stronger ones stay), and transactions see what was
// committed before each statement. The TCP settings let the server notice a client whose machine
// has vanished.
//
// These are statements and no start-up parameters, because PgBouncer refuses parameters that it
// does not know.
var sessionSQL = fmt.Sprintf(`
set statement_timeout = %d; set lock_timeout = %d; set idle_in_transaction_session_timeout = %d;
set tcp_keepalives_idle = 2; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 4; set tcp_user_timeout = %d;
set default_transaction_isolation = 'read committed';
select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') in ('off', 'local');
`, statementTimeout.Milliseconds(), LockTimeout.Milliseconds(), idleInTransactionTimeout.Milliseconds(), userTimeout.Milliseconds())

// prepare returns a pool's AfterConnect.
func prepare(begin []func(context.Context, *pgx.Conn) error) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, sessionSQL+byIndexSQL); err != nil {
			return fmt.Errorf("prepare a session: %w", err)
		}
		BoundInstants(conn.TypeMap())
		for _, with := range begin {
			if err := with(ctx, conn); err != nil {
				return fmt.Errorf("begin a session: %w", err)
			}
		}
		return nil
	}
}

type failFastKey struct{}

// FailFast returns a context for work that gives up on a lock almost at once. When a batch has
// failed for a lock, its parts are tried one after the other, and each must not wait as long as the
// whole did.
func FailFast(ctx context.Context) context.Context {
	return context.WithValue(ctx, failFastKey{}, true)
}

// hasty and patient are what an acquired session is switched to, where it is not so already.
var (
	failFastSQL = fmt.Sprintf(`set lock_timeout = %d; set statement_timeout = %d`,
		failFastLockTimeout.Milliseconds(), failFastStatementTimeout.Milliseconds())
	patientSQL = fmt.Sprintf(`set lock_timeout = %d; set statement_timeout = %d`,
		LockTimeout.Milliseconds(), statementTimeout.Milliseconds())
)

// adapt is a pool's PrepareConn: it costs a round trip only where the session was last used the
// other way.
func adapt(ctx context.Context, conn *pgx.Conn) (bool, error) {
	want := ctx.Value(failFastKey{}) != nil
	state := conn.PgConn().CustomData()
	if is, _ := state["fail_fast"].(bool); is == want {
		return true, nil
	}
	sql := patientSQL
	if want {
		sql = failFastSQL
	}
	if _, err := conn.Exec(ctx, sql); err != nil {
		return false, fmt.Errorf("prepare a session: %w", err)
	}
	state["fail_fast"] = want
	return true, nil
}
