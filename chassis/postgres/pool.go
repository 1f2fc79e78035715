package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/chassis/config"
	"waybill.example/chassis/tracing"
)

// Config says how to reach the database.
type Config struct {
	// URL is postgres://user:password@host:port/name; pool_max_conns and the like may follow as
	// parameters (see pgxpool.ParseConfig), and so may sslmode, sslrootcert, sslcert and sslkey.
	// The file that DATABASE_URL_FILE names, and those that the URL names, are read again for each
	// new connection: passwords and certificates are rotated without a restart.
	URL config.Secret `env:"DATABASE_URL,required,notEmpty"`
}

// connectTimeout bounds one attempt to connect, so that a host which drops packets does not hold a
// request longer than its own deadline.
const connectTimeout = 2 * time.Second

// keepAlive notices a database host that has vanished while nothing is under way.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: 2 * time.Second, Count: 4}

// Open returns a pool. It does not connect: use [AwaitSchema] to wait for the database. name
// becomes the application_name by which the sessions can be distinguished in pg_stat_activity.
//
// Each session has bounds for statements, locks and idle transactions, waits for its commits to be
// on disk, finds rows by an index wherever there is one, and is thrown away once it answers that it
// cannot do what a service needs (see retire). Sessions are with a primary, and never with one that
// was replaced (see [Fence]). begin is called with each new session, after that; where it fails,
// there is no session.
func Open(ctx context.Context, c Config, name string, begin ...func(context.Context, *pgx.Conn) error) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(string(c.URL))
	if err != nil {
		// pgx's error may quote the URL, and the URL holds a password.
		return nil, errors.New("DATABASE_URL cannot be parsed; it looks like postgres://user:password@host:5432/name")
	}
	dialer := &net.Dialer{KeepAliveConfig: keepAlive, Control: limitUnacknowledged}
	config.ConnConfig.RuntimeParams["application_name"] = name
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasPrefix(network, "unix") {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		return dialer.DialContext(ctx, network, addr)
	}
	var opened atomic.Pointer[pgxpool.Pool]
	config.ConnConfig.OnPgError = retire(&opened)
	fence := &Fence{Passed: func() {
		if p := opened.Load(); p != nil {
			go p.Reset() // what waits for the pool may be the session that found out
		}
	}}
	config.ConnConfig.ValidateConnect = fence.After(config.ConnConfig.ValidateConnect)
	config.BeforeConnect, config.AfterConnect, config.PrepareConn = Renewed(c.current()), prepare(begin), adapt
	if tracing.Enabled() {
		config.ConnConfig.Tracer = tracing.Statements()
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open connection pool: %w", err)
	}
	opened.Store(pool)
	return pool, nil
}

// readOnly is what a session answers to a write after its database was demoted, or made read-only.
const readOnly = "25006"

// retire closes sessions that answered what no later statement of them can fix: they are over
// (FATAL), or the server is in a state that a new session may not find. A read-only session says
// the same of the others of the pool, which were opened before the same failover: all of them go,
// or each would fail one request first.
func retire(pool *atomic.Pointer[pgxpool.Pool]) pgconn.PgErrorHandler {
	return func(_ *pgconn.PgConn, e *pgconn.PgError) (keep bool) {
		if strings.EqualFold(e.Severity, "FATAL") || strings.EqualFold(e.Severity, "PANIC") {
			return false
		}
		if p := pool.Load(); p != nil && e.Code == readOnly {
			go p.Reset() // it locks the pool, which may be waiting for this very session
			return false
		}
		switch e.Code[:min(2, len(e.Code))] {
		case "08", "58", "XX":
			return false
		}
		return e.Code != "57P01" && e.Code != "57P02" && e.Code != "57P03" && e.Code != "57P05"
	}
}

// Check reports whether the database answers, and takes writes; for a readiness page. A session
// that finds it read-only is not used again: after a failover the next one may find a primary.
func Check(pool *pgxpool.Pool) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return errors.New(unreachable(err))
		}
		defer conn.Release()
		var readOnly bool
		if err := conn.QueryRow(ctx, `select current_setting('transaction_read_only')::bool`).Scan(&readOnly); err != nil {
			return errors.New(unreachable(err))
		}
		if readOnly {
			_ = conn.Conn().Close(ctx) // what cannot be closed is broken, and goes as well
			return errors.New("the database is read-only")
		}
		return nil
	}
}

// unreachable says in words that anybody may read why the database does not answer.
func unreachable(err error) string {
	switch f := Classify(err); {
	case f.Reason == "login_refused":
		return fmt.Sprintf("the database refuses the login (%s)", f.Code)
	case f.Reason == reasonResources:
		return fmt.Sprintf("the database is out of connections, memory or disk (%s)", f.Code)
	case errors.Is(err, ErrReplaced):
		return ErrReplaced.Error()
	case f.Reason == reasonReadOnly:
		return "the database is read-only"
	}
	return "the database does not answer"
}
