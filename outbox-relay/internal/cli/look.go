package cli

import (
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"waybill/outbox-relay/internal/ops"
)

// StatusCommand shows every database at a glance.
type StatusCommand struct{ Where }

// Run is kong's.
func (c StatusCommand) Run(s *Session) error {
	return listing(s, c.Where, "LEADER PUBLISHED-TO PENDING OLDEST STUCK PARKED HOLES PAUSED",
		func(d *ops.Database) ([]ops.Overview, error) {
			o, err := d.Overview(s.Context)
			return []ops.Overview{o}, err
		},
		func(o ops.Overview) []any {
			return []any{o.Leader, o.PublishedUpTo, o.Pending, o.OldestPending, o.Stuck, o.Parked, o.Holes, o.Paused}
		})
}

// PendingCommand lists rows that wait.
type PendingCommand struct {
	Where
	After int64 `help:"Only rows with a higher id."`
	Limit int   `default:"50" help:"The most rows to list."`
}

// Run is kong's.
func (c PendingCommand) Run(s *Session) error {
	return listing(s, c.Where, "ID TOPIC KEY TYPE CREATED EVENT-ID",
		func(d *ops.Database) ([]ops.RowSummary, error) { return d.Pending(s.Context, c.After, c.Limit) },
		func(r ops.RowSummary) []any { return []any{r.ID, r.Topic, r.Key, r.Type, r.CreatedAt, r.EventID} })
}

// ShowCommand shows one row.
type ShowCommand struct {
	Where
	ID int64 `arg:"" help:"The id of the outbox row."`
}

// Run is kong's.
func (c ShowCommand) Run(s *Session) error {
	d, err := s.one(c.Where)
	if err != nil {
		return err
	}
	row, err := d.Row(s.Context, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.json(readable(row))
	}
	lines := [][]any{
		{"status", row.Status},
		{"event id", row.EventID},
		{"topic", row.Topic},
		{"key", row.Key},
		{"type", row.Type},
		{"created", row.CreatedAt.Format(time.RFC3339Nano)},
	}
	if row.StuckAt != nil {
		lines = append(lines, []any{"stuck since", row.StuckAt}, []any{"attempts", row.Attempts},
			[]any{"last attempt", row.LastAttemptAt}, []any{"next attempt", row.NextAttemptAt})
	}
	if row.WaitsFor != nil {
		lines = append(lines, []any{"waits for row", *row.WaitsFor})
	}
	if row.ParkedBehind > 0 {
		lines = append(lines, []any{"rows behind it", row.ParkedBehind})
	}
	if err := s.table("ROW "+cell(row.ID), lines); err != nil {
		return err
	}
	if row.Error != "" {
		s.printf("error     %s: %s\n", row.ErrorCode, row.Error)
	}
	s.printf("headers   %s\npayload   %s\n", row.Headers, printable(row.Payload))
	return nil
}

// readableRow is a row whose payload is text where it can be.
type readableRow struct {
	ops.Row
	Payload any `json:"payload"`
}

func readable(row ops.Row) readableRow {
	switch {
	case json.Valid(row.Payload):
		return readableRow{row, json.RawMessage(row.Payload)}
	case utf8.Valid(row.Payload):
		return readableRow{row, string(row.Payload)}
	default:
		return readableRow{row, row.Payload}
	}
}

const longestPayload = 4096

func printable(payload []byte) string {
	if !utf8.Valid(payload) {
		return cell("binary, not shown; --json has it in base64")
	}
	text := []rune(string(payload))
	if len(text) > longestPayload {
		return string(text[:longestPayload]) + "… (--json has all of it)"
	}
	return string(text)
}

// AuditCommand shows recorded changes.
type AuditCommand struct {
	Where
	Limit int `default:"50" help:"The most entries to list."`
}

// Run is kong's.
func (c AuditCommand) Run(s *Session) error {
	return listing(s, c.Where, "WHEN WHO WHAT WHY DETAILS",
		func(d *ops.Database) ([]ops.AuditEntry, error) { return d.Audit(s.Context, c.Limit) },
		func(e ops.AuditEntry) []any { return []any{e.At, e.Actor, e.Action, e.Reason, string(e.Details)} })
}

// PauseCommand stops publishing.
type PauseCommand struct{ Change }

// Run is kong's.
func (c PauseCommand) Run(s *Session) error {
	return c.each(s, "paused", func(d *ops.Database) (bool, error) { return d.Pause(s.Context, c.by()) })
}

// ResumeCommand ends a pause.
type ResumeCommand struct{ Change }

// Run is kong's.
func (c ResumeCommand) Run(s *Session) error {
	return c.each(s, "resumed", func(d *ops.Database) (bool, error) { return d.Resume(s.Context, c.by()) })
}

func (c Change) each(s *Session, done string, verb func(*ops.Database) (bool, error)) error {
	databases, err := s.all(c.Where)
	if err != nil {
		return err
	}
	changes := map[string]bool{}
	var errs []error
	for _, d := range databases {
		changed, err := verb(d)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		changes[d.Name] = changed
		if c.JSON {
			continue
		}
		if changed {
			s.printf("%s is %s\n", d.Name, done)
		} else {
			s.printf("%s: nothing to do\n", d.Name)
		}
	}
	if c.JSON {
		errs = append(errs, s.json(changes))
	}
	return errors.Join(errs...)
}
