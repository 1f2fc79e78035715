package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"waybill.example/chassis/auditlog"
	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/sdk/payload"
)

// StatusCommand shows every database at a glance.
type StatusCommand struct{ Where }

// Run implements the command.
func (c StatusCommand) Run(s *Session) error {
	return listing(s, c.Where, "LEADER PUBLISHED-TO PENDING OLDEST STUCK PARKED GAPS PAUSED",
		func(d *ops.Database) ([]ops.Overview, error) {
			o, err := d.Overview(s.Context)
			return []ops.Overview{o}, err
		},
		func(o ops.Overview) []any {
			return []any{o.Leader, o.PublishedUpTo, o.Pending, o.OldestPending, o.Stuck, o.Parked, o.Gaps, o.Paused}
		})
}

// PendingCommand lists rows that wait.
type PendingCommand struct {
	Where
	After int64 `help:"Only rows with a higher id."`
	Limit int   `default:"50" help:"The most rows to list."`
}

// Run implements the command.
func (c PendingCommand) Run(s *Session) error {
	return listing(s, c.Where, "ID TOPIC KEY TYPE CREATED EVENT-ID",
		func(d *ops.Database) ([]ops.RowSummary, error) { return d.Pending(s.Context, c.After, c.Limit) },
		func(r ops.RowSummary) []any { return []any{r.ID, r.Topic, r.Key, r.Type, r.CreatedAt, r.EventID} })
}

// ShowCommand shows one row.
type ShowCommand struct {
	Where
	ID      int64  `arg:"" help:"The id of the outbox row."`
	Keyring string `env:"PAYLOAD_KEYRING" help:"The file with the keys, to decrypt a payload that is encrypted."`
}

// Run implements the command.
func (c ShowCommand) Run(s *Session) error {
	d, err := c.find(s)
	if err != nil {
		return err
	}
	row, err := d.Row(s.Context, c.ID)
	if err != nil {
		return err
	}
	var unread error
	if c.Keyring != "" {
		row, unread = decrypt(s.Context, c.Keyring, row)
	}
	if c.JSON {
		return s.json(readable(row)) // what could not be decrypted is as it travels, and its headers say so
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
	s.table("ROW "+cell(row.ID), lines)
	if row.Error != "" {
		s.printf("error     %s: %s\n", row.ErrorCode, row.Error)
	}
	s.printf("headers   %s\npayload   %s\n", row.Headers, printable(row, unread))
	return nil
}

// find returns the database in which the row is stuck, since that is what people look at, or else
// the only one that has it.
func (c ShowCommand) find(s *Session) (*ops.Database, error) {
	d, err := c.thatHasStuck(s, c.ID)
	if errors.Is(err, ops.ErrNotFound) {
		return s.that(c.Where, fmt.Sprint("row ", c.ID), func(d *ops.Database) (bool, error) { return d.HasRow(s.Context, c.ID) })
	}
	return d, err
}

// readableRow is a row whose payload is text where it can be.
type readableRow struct {
	ops.Row
	Payload any `json:"payload"`
}

func readable(row ops.Row) readableRow {
	switch {
	case int64(len(row.Payload)) == row.PayloadBytes && json.Valid(row.Payload):
		return readableRow{row, json.RawMessage(row.Payload)}
	case utf8.Valid(whole(row.Payload)):
		return readableRow{row, string(whole(row.Payload))}
	default:
		return readableRow{row, row.Payload}
	}
}

const longestPayload = 4096

// encoding says how the payload travels, "" for as it is.
func encoding(row ops.Row) string {
	var headers map[string]string
	if json.Unmarshal(row.Headers, &headers) != nil {
		return "" // the relay refuses such a row, and says so
	}
	return payload.Describe(func(name string) string { return headers[name] })
}

// printable is the payload as far as a person will read it. unread is why it could not be
// decrypted.
func printable(row ops.Row, unread error) string {
	if how := encoding(row); unread != nil {
		return fmt.Sprintf("%s, %d bytes, not decrypted: %s", how, row.PayloadBytes, unread)
	} else if how != "" {
		return fmt.Sprintf("%s, %d bytes, not shown", how, row.PayloadBytes)
	}
	if !utf8.Valid(whole(row.Payload)) {
		return fmt.Sprintf("binary, %d bytes, not shown; --json has the first %d in base64", row.PayloadBytes, len(row.Payload))
	}
	text := []rune(string(whole(row.Payload)))
	if len(text) > longestPayload || int64(len(row.Payload)) < row.PayloadBytes {
		return fmt.Sprintf("%s… (%d bytes; --json has the first %d)", string(text[:min(len(text), longestPayload)]), row.PayloadBytes, len(row.Payload))
	}
	return string(text)
}

// whole leaves out a character at the end of which a part was cut off.
func whole(payload []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(payload); i++ {
		if start := len(payload) - i; utf8.RuneStart(payload[start]) {
			if !utf8.FullRune(payload[start:]) {
				return payload[:start]
			}
			break
		}
	}
	return payload
}

// AuditLogCommand shows recorded changes.
type AuditLogCommand struct {
	Where
	Actor  string `help:"Only entries of this actor."`
	Action string `help:"Only entries of this action, as outbox.retry."`
	Object string `help:"Only entries of this object, as outbox/17."`
	After  int64  `help:"Only entries with a higher number."`
	Limit  int    `default:"50" help:"The most entries to list."`
}

// Run implements the command.
func (c AuditLogCommand) Run(s *Session) error {
	filter := auditlog.Filter{Actor: c.Actor, Action: c.Action, Object: c.Object, After: c.After, Limit: c.Limit}
	return listing(s, c.Where, "NUMBER WHEN WHO WHAT OBJECT WHY RESULT",
		func(d *ops.Database) ([]auditlog.Record, error) { return d.AuditLog(s.Context, filter) },
		func(r auditlog.Record) []any {
			return []any{r.Seq, r.At, r.Actor, r.Action, r.Object, r.Reason, cmp.Or(r.Result, string(r.After))}
		})
}

// PauseCommand stops publishing.
type PauseCommand struct{ Halt }

// Run implements the command.
func (c PauseCommand) Run(s *Session) error {
	return c.each(s, "paused", func(d *ops.Database) (bool, error) { return d.Pause(s.Context, c.by()) })
}

// ResumeCommand ends a pause.
type ResumeCommand struct{ Halt }

// Halt is a verb that stops or starts a database for everybody who waits for its messages, so which
// one has to be said.
type Halt struct {
	Change
	All bool `help:"Every database of RELAY_DATABASES."`
}

// Run implements the command.
func (c ResumeCommand) Run(s *Session) error {
	return c.each(s, "resumed", func(d *ops.Database) (bool, error) { return d.Resume(s.Context, c.by()) })
}

func (c Halt) each(s *Session, done string, verb func(*ops.Database) (bool, error)) error {
	databases, err := s.all(c.Where)
	switch {
	case err != nil:
		return err
	case c.All && c.Database != "":
		return errors.New("say either --database or --all")
	case !c.All && c.Database == "" && len(databases) > 1:
		_, err = s.one(c.Where)
		return fmt.Errorf("%w, or every one: --all", err)
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
