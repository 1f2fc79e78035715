// Package ops is what an operator can see and do: the verbs behind the command line and the HTTP
// API. They work on the database alone; the relay that leads it carries them out, whichever process
// that is. So every verb that changes something is recorded in the transaction that changes it, and
// says what it has seen happen, not only what it asked.
package ops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/chassis/auditlog"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/chassis/telemetry"
	"waybill.example/chassis/terminal"
	"waybill.example/outbox-relay/internal/source"
)

// Errors that a caller can tell apart.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("not possible now")
	ErrInvalid  = errors.New("not valid")
	// ErrChanged is what By.Seen asks for.
	ErrChanged = errors.New("it has changed since; look again")
)

// Database is one database's outbox, for people. It is safe for concurrent use.
type Database struct {
	Name string
	// Patience is how long a verb waits to see what the relay does about it. Open sets it to 3 s.
	Patience time.Duration
	pool     *pgxpool.Pool
}

// Open returns a Database that connects when it is first used.
func Open(name, url string) (*Database, error) {
	return OpenRenewed(name, url, func() string { return url })
}

// OpenRenewed is Open for a database whose URL may become another one, such as by a new password:
// each connection asks for it as it is now.
func OpenRenewed(name, url string, now func() string) (*Database, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the URL of database %s is not valid", name) // the error would show the password
	}
	config.BeforeConnect = chassispg.Renewed(now)
	config.MaxConns = 4
	config.MaxConnIdleTime = time.Minute
	config.ConnConfig.ConnectTimeout = 3 * time.Second
	config.ConnConfig.RuntimeParams["application_name"] = "outbox-relay-ops"
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { // poolers refuse it as a startup parameter
		chassispg.BoundInstants(conn.TypeMap())
		// What is asked for reads a few rows by an index, and compiling it would take a second
		// where the tables are large and the planner expects more.
		_, err := conn.PgConn().Exec(ctx, `set search_path = pg_catalog, pg_temp; set statement_timeout = '60s'; set jit = off`).ReadAll()
		return err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	return &Database{Name: name, Patience: 3 * time.Second, pool: pool}, nil
}

// Observe reports the connections, as pgxpool_*.
func (d *Database) Observe(reg prometheus.Registerer) {
	telemetry.Pool(reg, "outbox-relay-ops-"+d.Name, d.pool)
}

// Close ends the connections.
func (d *Database) Close() { d.pool.Close() }

// By says who does something, from where, and why. Seen, if it is not empty, is the version of what
// is changed that they looked at: if it is another by now, nothing is done ([ErrChanged]).
type By struct{ Actor, Client, Reason, Seen string }

// saw returns [ErrChanged] unless a change is made to what was seen.
func (by By) saw(now string) error {
	if by.Seen == "" || by.Seen == now {
		return nil
	}
	return ErrChanged
}

// audited runs a change and records it, both or neither. The change returns what there is to record
// of it; who did it and why is added.
func (d *Database) audited(ctx context.Context, by By, action string, change func(pgx.Tx) (auditlog.Entry, error)) error {
	if !terminal.Plain(by.Actor) || !terminal.Plain(by.Reason) {
		return fmt.Errorf("%w: a name or a reason is plain text, without control or invisible characters", ErrInvalid)
	}
	return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		entry, err := change(tx)
		if err != nil {
			return err
		}
		entry.Actor, entry.Client, entry.Reason, entry.Action = by.Actor, by.Client, by.Reason, "outbox."+action
		return auditlog.Append(ctx, tx, entry)
	})
}

// AuditLog returns entries of the database's audit log: those of the relay, and those of the
// service that has the database.
func (d *Database) AuditLog(ctx context.Context, f auditlog.Filter) ([]auditlog.Record, error) {
	records, err := auditlog.List(ctx, d.pool, f)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", d.Name, err)
	}
	return records, nil
}

func collect[T any](ctx context.Context, d *Database, what, sql string, args ...any) ([]T, error) {
	rows, _ := d.pool.Query(ctx, sql, args...)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if err != nil {
		return nil, fmt.Errorf("%s of database %s: %w", what, d.Name, err)
	}
	return all, nil
}

// notify wakes the leading relay, so that it looks at what changed at once.
const notifySQL = `select pg_notify('outbox', '` + source.OperatorAsks + `')`

func notify(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, notifySQL); err != nil {
		return fmt.Errorf("wake the relay: %w", err)
	}
	return nil
}

const lookEvery = 50 * time.Millisecond

// observe looks until done says yes, or until patience is over.
func observe(ctx context.Context, patience time.Duration, done func(context.Context) (bool, error)) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		happened, err := done(ctx)
		if ctx.Err() != nil {
			return false, nil
		}
		if err != nil || happened {
			return happened, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-ticker.C:
		}
	}
}
