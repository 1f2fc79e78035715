// Package cli is the operator's verbs on the command line. They go to the databases themselves, so
// they work from any machine that reaches those, whichever process relays them.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"
	"time"

	"waybill.example/chassis/terminal"
	"waybill.example/outbox-relay/internal/ops"
)

// Commands are the verbs, for kong.
type Commands struct {
	Status   StatusCommand   `cmd:"" help:"Show every database at a glance."`
	Pending  PendingCommand  `cmd:"" help:"List committed rows that wait to be published."`
	Show     ShowCommand     `cmd:"" help:"Show one row, whatever has become of it."`
	Gaps     GapsCommand     `cmd:"" help:"Show ids that are missing, and the transactions that may still fill them."`
	Stuck    StuckCommand    `cmd:"" help:"Look after rows that the broker refuses."`
	Topic    TopicCommand    `cmd:"" help:"Create a topic for which rows are stuck."`
	Replay   ReplayCommand   `cmd:"" help:"Send published rows again. Without --yes: only say what that would do."`
	Replays  ReplaysCommand  `cmd:"" help:"Look after replays."`
	Pause    PauseCommand    `cmd:"" help:"Publish nothing more until resume; writers go on."`
	Resume   ResumeCommand   `cmd:"" help:"End a pause."`
	AuditLog AuditLogCommand `cmd:"" help:"Show who changed what in the databases, and why."`
}

// Where is the database that a verb is about, and how to answer.
type Where struct {
	Database string `short:"d" help:"The database, as in RELAY_DATABASES. Default: every one, or the one that has the row or the replay."`
	JSON     bool   `name:"json" help:"Answer in JSON, for scripts."`
}

// Change is a verb that is recorded in the audit.
type Change struct {
	Where
	Actor  string `help:"Who does this, for the audit, where that is not the user of the operating system; both are recorded."`
	Reason string `help:"Why, for the audit."`
}

// by names the user of the operating system, which is known, before the name that is claimed.
func (c Change) by() ops.By {
	actor := "unknown"
	if u, err := user.Current(); err == nil {
		actor = u.Username
	}
	if c.Actor != "" && c.Actor != actor {
		actor += " for " + c.Actor
	}
	return ops.By{Actor: actor, Reason: c.Reason}
}

// Session is what a verb runs with.
type Session struct {
	Context   context.Context // of the process; kong hands a verb one value
	Out       io.Writer
	Databases []*ops.Database
	// Broker opens a client of the broker, for verbs about topics. It is given by who links one:
	// that needs cgo, which other verbs do not.
	Broker func() (ops.Broker, error)
}

// all returns the databases that a verb is about: one that was named, or every one.
func (s *Session) all(w Where) ([]*ops.Database, error) {
	if w.Database == "" {
		return s.Databases, nil
	}
	d, err := s.one(w)
	return []*ops.Database{d}, err
}

// that returns the database that was named, or else the only one that has what a verb is about.
func (s *Session) that(w Where, what string, has func(*ops.Database) (bool, error)) (*ops.Database, error) {
	if w.Database != "" || len(s.Databases) == 1 {
		return s.one(w)
	}
	var found []*ops.Database
	var names []string
	for _, d := range s.Databases {
		yes, err := has(d)
		if err != nil {
			return nil, fmt.Errorf("%w; to pass over that database, name the one you mean: --database", err)
		}
		if yes {
			found, names = append(found, d), append(names, d.Name)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("no database has %s: %w", what, ops.ErrNotFound)
	default:
		return nil, fmt.Errorf("several databases have %s; say which: --database %s", what, strings.Join(names, " | "))
	}
}

// one returns the database that a verb is about, which must be clear.
func (s *Session) one(w Where) (*ops.Database, error) {
	var names []string
	for _, d := range s.Databases {
		if d.Name == w.Database || (w.Database == "" && len(s.Databases) == 1) {
			return d, nil
		}
		names = append(names, d.Name)
	}
	if w.Database == "" {
		return nil, fmt.Errorf("say which database: --database %s", strings.Join(names, " | "))
	}
	return nil, fmt.Errorf("RELAY_DATABASES has no database %q, only %s", w.Database, strings.Join(names, ", "))
}

// json writes value as indented JSON.
func (s *Session) json(value any) error {
	encoder := json.NewEncoder(s.Out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func (s *Session) printf(format string, args ...any) { terminal.Fprintf(s.Out, format, args...) }

// table writes rows under a header, in columns.
func (s *Session) table(header string, rows [][]any) {
	table := [][]string{strings.Fields(header)}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, value := range row {
			cells[i] = cell(value)
		}
		table = append(table, cells)
	}
	terminal.Table(s.Out, table, "none")
}

const longestCell = 70

func cell(value any) string {
	text := ""
	switch v := value.(type) {
	case *string:
		if v == nil {
			return "-"
		}
		text = *v
	case *time.Time:
		if v == nil {
			return "-"
		}
		return ago(*v)
	case time.Time:
		return ago(v)
	default:
		text = fmt.Sprint(v)
	}
	text = terminal.Clean(text) // what a database holds must not steer a terminal
	if runes := []rune(text); len(runes) > longestCell {
		return string(runes[:longestCell-1]) + "…"
	}
	if text == "" {
		return "-"
	}
	return text
}

// ago says how long a time is past, or how far it is ahead.
func ago(t time.Time) string {
	if d := time.Until(t); d > 0 {
		return "in " + d.Round(time.Second).String()
	}
	return time.Since(t).Round(time.Second).String() + " ago"
}

// listing gathers the rows of every database for one table, or for JSON by database.
func listing[T any](s *Session, w Where, header string, list func(*ops.Database) ([]T, error), row func(T) []any) error {
	databases, err := s.all(w)
	if err != nil {
		return err
	}
	byName := map[string][]T{}
	var rows [][]any
	var errs []error
	for _, d := range databases {
		found, err := list(d)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		byName[d.Name] = found
		for _, value := range found {
			rows = append(rows, append([]any{d.Name}, row(value)...))
		}
	}
	switch {
	case w.JSON:
		err = s.json(byName)
	case len(rows) > 0 || len(errs) == 0:
		s.table("DATABASE "+header, rows)
	}
	return errors.Join(append(errs, err)...)
}
