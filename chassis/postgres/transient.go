package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Transient reports whether time alone may mend the error: the database is away, restarting, full
// of connections, read-only for a failover, or another transaction was in the way. The classes are
// those of PostgreSQL's appendix A, "Error Codes".
func Transient(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return transientCode(pgErr.Code)
	}
	return Unavailable(err)
}

// Unavailable reports whether the error says that the database could not be reached in time, or
// hung up.
func Unavailable(err error) bool {
	var (
		pgErr      *pgconn.PgError
		connectErr *pgconn.ConnectError
		netErr     net.Error
	)
	if errors.As(err, &connectErr) {
		// Wrong password or no such database: the server answered, and time does not mend it.
		return !errors.As(err, &pgErr) || transientCode(pgErr.Code)
	}
	if errors.As(err, &pgErr) {
		return transientCode(pgErr.Code)
	}
	return errors.As(err, &netErr) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) ||
		pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
		strings.Contains(err.Error(), "conn closed") // pgconn has no sentinel for it
}

func transientCode(code string) bool {
	switch code {
	case "40001", "40P01", // serialization failure, deadlock
		"55P03",                   // lock not available
		"25006",                   // read-only transaction: a failover is under way
		"57P01", "57P02", "57P03", // shut down, crashed, starting up
		"57014": // statement timeout
		return true
	}
	switch class := code[:min(2, len(code))]; class {
	case "08", "53", "58": // connection, out of resources, system error
		return true
	}
	return false
}

// Check reports whether the database answers; for a readiness page.
func Check(pool *pgxpool.Pool) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := pool.Ping(ctx); err != nil {
			return errors.New("the database does not answer")
		}
		return nil
	}
}
