// Package migrations holds the schema of each of Waybill's databases as goose SQL files, embedded,
// and applies them.
//
// The files come in sets. The set "outbox" (outbox, inbox, the relay's cursor) stands alone and
// goes into any database whose service sends or receives messages, and "participant" besides it
// where the service carries out commands of sagas with the participant kit; "orders", "inventory"
// and "orchestrator" hold one service's tables each. A database takes several sets: each set is
// versioned by a table of its own, goose_<set>.
//
// The command migrate, in cmd/migrate, is this package on the command line.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed inventory/*.sql orchestrator/*.sql orders/*.sql outbox/*.sql participant/*.sql
var files embed.FS

// Set names a set of migrations: a folder beside this file.
type Set string

// The sets. Outbox needs none of the others; Participant needs Outbox.
const (
	Outbox       Set = "outbox"
	Participant  Set = "participant"
	Orders       Set = "orders"
	Inventory    Set = "inventory"
	Orchestrator Set = "orchestrator"
)

// Sets lists every set, in an order in which they can be applied.
func Sets() []Set { return []Set{Outbox, Participant, Orders, Inventory, Orchestrator} }

// ErrUnknownSet is wrapped by the error for a set that does not exist.
var ErrUnknownSet = errors.New("unknown migration set")

// UnmarshalText reads the name of a set. It implements [encoding.TextUnmarshaler]; the error is an
// [ErrUnknownSet].
func (s *Set) UnmarshalText(text []byte) error {
	if !slices.Contains(Sets(), Set(text)) {
		return unknown(Set(text))
	}
	*s = Set(text)
	return nil
}

// Step is one migration of a set, and what was done with it or is known of it.
type Step struct {
	Set     Set
	Version int64
	File    string
	// Applied is when the migration was applied; zero while it is pending.
	Applied time.Time
	// Took is how long Up or Down ran it.
	Took time.Duration
}

// Up applies the pending migrations of the sets, each migration in its own transaction, and
// returns them. Several processes may call it at once: one works, the others wait for it. A
// statement that waits for a lock keeps everybody else waiting behind it, so after ten seconds
// (lock_timeout of the URL says otherwise) it gives up: its migration is undone, and Up can be
// called again.
func Up(ctx context.Context, databaseURL string, sets ...Set) ([]Step, error) {
	return each(ctx, databaseURL, sets, func(set Set, p *goose.Provider) ([]Step, error) {
		results, err := p.Up(ctx)
		return ran(set, results), err
	})
}

// Down takes the newest migration of one set back, and returns it; nothing where none is applied.
func Down(ctx context.Context, databaseURL string, set Set) ([]Step, error) {
	return each(ctx, databaseURL, []Set{set}, func(set Set, p *goose.Provider) ([]Step, error) {
		result, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return ran(set, []*goose.MigrationResult{result}), nil
	})
}

// Status returns every migration of the sets, applied or pending.
func Status(ctx context.Context, databaseURL string, sets ...Set) ([]Step, error) {
	return each(ctx, databaseURL, sets, func(set Set, p *goose.Provider) ([]Step, error) {
		known, err := p.Status(ctx)
		if err != nil {
			return nil, err
		}
		steps := make([]Step, len(known))
		for i, m := range known {
			steps[i] = Step{Set: set, Version: m.Source.Version, File: m.Source.Path, Applied: m.AppliedAt}
		}
		return steps, nil
	})
}

// Latest returns the version that a set is at when all its migrations are applied.
func Latest(set Set) (int64, error) {
	names, err := fs.Glob(files, string(set)+"/*.sql")
	if err != nil || len(names) == 0 {
		return 0, unknown(set)
	}
	return goose.NumericComponent(names[len(names)-1]) // Glob sorts
}

func each(ctx context.Context, databaseURL string, sets []Set, do func(Set, *goose.Provider) ([]Step, error)) (steps []Step, err error) {
	config, err := parse(databaseURL)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "select set_config('lock_timeout', '10s', false) where current_setting('lock_timeout') = '0'")
		return err
	}))
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, set := range sets {
		p, err := provider(db, set)
		if err != nil {
			return steps, err
		}
		done, err := do(set, p)
		steps = append(steps, done...)
		if err != nil {
			return steps, fmt.Errorf("migrate set %s: %w", set, hint(err))
		}
	}
	return steps, nil
}

const lockNotAvailable = "55P03"

// hint says what to do about a lock that was not to be had.
func hint(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == lockNotAvailable {
		return fmt.Errorf("%w: a session holds what the migration needs, perhaps a long transaction or a dump "+
			"(select pid, query from pg_stat_activity order by xact_start); the migration was undone, run it again", err)
	}
	return err
}

// parse does not repeat a URL that it cannot parse: it holds a password.
func parse(databaseURL string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, errors.New("the database URL cannot be parsed; it looks like postgres://user:password@host:5432/name")
	}
	return config, nil
}

func connect(ctx context.Context, databaseURL string) (*pgx.Conn, error) {
	config, err := parse(databaseURL)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

func provider(db *sql.DB, set Set) (*goose.Provider, error) {
	if !slices.Contains(Sets(), set) {
		return nil, unknown(set)
	}
	folder, err := fs.Sub(files, string(set))
	if err != nil {
		return nil, fmt.Errorf("open migration set %s: %w", set, err)
	}
	// Two processes that migrate one database at once would both create the version table.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // look every second, for five minutes
	if err != nil {
		return nil, fmt.Errorf("lock for migration set %s: %w", set, err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, folder,
		goose.WithTableName("goose_"+string(set)),
		goose.WithSessionLocker(locker),
		goose.WithSlog(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		return nil, fmt.Errorf("read migration set %s: %w", set, err)
	}
	return p, nil
}

func ran(set Set, results []*goose.MigrationResult) []Step {
	steps := make([]Step, len(results))
	for i, r := range results {
		steps[i] = Step{Set: set, Version: r.Source.Version, File: r.Source.Path, Took: r.Duration}
		if r.Direction == "up" {
			steps[i].Applied = time.Now()
		}
	}
	return steps
}

func unknown(set Set) error {
	names := make([]string, 0, len(Sets()))
	for _, s := range Sets() {
		names = append(names, string(s))
	}
	return fmt.Errorf("%w %q: the sets are %s", ErrUnknownSet, set, strings.Join(names, ", "))
}
