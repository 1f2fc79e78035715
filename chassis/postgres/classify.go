package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"waybill.example/chassis/fault"
	"waybill.example/sdk/payload"
)

// conflictAttempts is how often a serialization failure may hit one message alone. A race is over
// sooner; what is left is a row that is not as the message's handler supposes, each time.
const conflictAttempts = 8

// reasonResources is that the server has no connection, memory or disk left.
const reasonResources = "database_resources"

// Classify says whose fault an error is. Only SQLSTATE classes 22 (data exception) and 23
// (integrity constraint violation), and errors that are not the database's at all, count against
// the message that was being worked on. Everything else is the infrastructure's, with any code: a
// grant, a password, a schema, a trigger that was added, a lock, and what payloads need besides (a
// key management service, a blob store). The classes are those of PostgreSQL's appendix A,
// "PostgreSQL Error Codes".
func Classify(err error) fault.Fault {
	pgErr, isPg := errors.AsType[*pgconn.PgError](err)
	_, isConnect := errors.AsType[*pgconn.ConnectError](err)
	switch {
	case errors.Is(err, payload.ErrUnavailable):
		return fault.Fault{Kind: fault.Outage, Reason: "payload_unavailable"}
	case errors.Is(err, ErrStandby), errors.Is(err, ErrReplaced):
		return fault.Fault{Kind: fault.Outage, Reason: reasonReadOnly}
	case isConnect && isPg:
		f := fault.Fault{Kind: fault.Outage, Reason: "database_unavailable", Code: pgErr.Code}
		switch pgErr.Code[:min(2, len(pgErr.Code))] {
		case "28", "3D", "42", "55":
			f.Reason = "login_refused"
		case "53":
			f.Reason = reasonResources
		}
		return f
	case isPg:
		return byCode(pgErr)
	case isConnect || lostConnection(err):
		return fault.Fault{Kind: fault.Outage, Reason: "database_unavailable"}
	}
	return fault.OfMessage(err.Error())
}

// Unavailable reports whether an error is the database's and no fault of what it was asked: an HTTP
// client is to try again (503), and nothing is wrong with its request (400) or our code (500).
func Unavailable(err error) bool { return Classify(err).Kind != fault.Message }

// Down reports whether nothing at all can be asked of the database at the moment.
func Down(err error) bool { return Classify(err).Kind == fault.Outage }

func byCode(e *pgconn.PgError) fault.Fault {
	alike := strings.Join([]string{e.Code, e.ConstraintName, e.TableName}, " ")
	f := fault.Fault{Kind: fault.Statement, Reason: "database_error", Code: e.Code, Alike: alike}
	switch e.Code {
	case "40001":
		f.Kind, f.Reason, f.Attempts = fault.Conflict, "conflict", conflictAttempts
	case "40P01":
		f.Kind, f.Reason = fault.Conflict, "deadlock"
	case "55P03":
		f.Reason = "lock"
	case "57014":
		f.Reason = "statement_timeout"
	case "25006":
		f.Kind, f.Reason = fault.Outage, reasonReadOnly
	case "42501":
		f.Reason = "permission"
	case "P0001":
		f.Reason = "raised_exception"
	default:
		byClass(&f, e)
	}
	return f
}

func byClass(f *fault.Fault, e *pgconn.PgError) {
	if strings.EqualFold(e.Severity, "FATAL") || strings.EqualFold(e.Severity, "PANIC") {
		f.Kind, f.Reason = fault.Outage, "database_unavailable" // and the session is over
		return
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "22", "23":
		f.Kind, f.Reason, f.Attempts = fault.Message, fault.ReasonMessage, fault.MessageAttempts
	case "08", "57":
		f.Kind, f.Reason = fault.Outage, "database_unavailable"
	case "53":
		f.Kind, f.Reason = fault.Outage, reasonResources
	case "58", "XX":
		f.Reason = "database_system_error"
	case "42", "0A", "26":
		f.Reason = "schema"
	}
}

// lostConnection recognises what pgx and the network say when there is no session, or none any
// more.
func lostConnection(err error) bool {
	var (
		netErr    net.Error
		recordErr tls.RecordHeaderError
	)
	return errors.As(err, &netErr) || errors.As(err, &recordErr) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, puddle.ErrClosedPool) || errors.Is(err, pgx.ErrTxClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
		strings.Contains(err.Error(), "conn closed") || // pgconn has no sentinels for these
		strings.Contains(err.Error(), "conn busy") || strings.Contains(err.Error(), "closed pool")
}
