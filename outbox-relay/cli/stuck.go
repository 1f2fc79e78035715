package cli

import (
	"errors"
	"fmt"
	"strings"

	"waybill.example/outbox-relay/internal/ops"
)

// StuckCommand looks after stuck rows.
type StuckCommand struct {
	List    StuckListCommand    `cmd:"" default:"1" help:"List rows that the broker refuses."`
	Show    ShowCommand         `cmd:"" help:"Show one row with its payload, headers, error and what parks behind it."`
	Retry   StuckRetryCommand   `cmd:"" help:"Try stuck rows now."`
	Discard StuckDiscardCommand `cmd:"" help:"Give a stuck row up, so that what is parked behind it goes out."`
}

// StuckListCommand lists stuck rows.
type StuckListCommand struct {
	Where
	After int64 `help:"Only rows with a higher id."`
	Limit int   `default:"50" help:"The most rows to list."`
}

// Run implements the command.
func (c StuckListCommand) Run(s *Session) error {
	return listing(s, c.Where, "ID TOPIC KEY BEHIND SINCE ATTEMPTS NEXT ERROR",
		func(d *ops.Database) ([]ops.StuckRow, error) { return d.Stuck(s.Context, c.After, c.Limit) },
		func(r ops.StuckRow) []any {
			return []any{r.ID, r.Topic, r.Key, r.ParkedBehind, r.StuckAt, r.Attempts, r.NextAttemptAt, r.ErrorCode + ": " + r.Error}
		})
}

// StuckRetryCommand tries rows now.
type StuckRetryCommand struct {
	Change
	IDs []int64 `arg:"" optional:"" name:"id" help:"The rows."`
	All bool    `help:"All stuck rows, of every database unless one is named."`
}

// Run implements the command.
func (c StuckRetryCommand) Run(s *Session) error {
	switch {
	case c.All == (len(c.IDs) > 0):
		return errors.New("say which rows to try: their ids, or --all")
	case c.All:
		return c.all(s)
	}
	d, err := c.thatHasStuck(s, c.IDs...)
	if err != nil {
		return err
	}
	return c.outcomes(s, c.IDs, func(id int64) (ops.Outcome, error) { return d.Retry(s.Context, c.by(), id) })
}

func (c StuckRetryCommand) all(s *Session) error {
	databases, err := s.all(c.Where)
	if err != nil {
		return err
	}
	outcomes := map[string]ops.Retried{}
	var errs []error
	for _, d := range databases {
		r, err := d.RetryAll(s.Context, c.by(), ops.StuckFilter{})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		outcomes[d.Name] = r
		if r.Refused > 0 {
			errs = append(errs, fmt.Errorf("%s: %d of %d rows were refused again", d.Name, r.Refused, r.Rows))
		}
		if !c.JSON {
			s.printf("%s: of %d stuck rows %d are published, %d were refused again, %d wait\n", cell(d.Name), r.Rows, r.Published, r.Refused, r.Waiting)
		}
	}
	if c.JSON {
		errs = append(errs, s.json(outcomes))
	}
	return errors.Join(errs...)
}

// thatHasStuck returns the database in which these rows are stuck.
func (w Where) thatHasStuck(s *Session, ids ...int64) (*ops.Database, error) {
	return s.that(w, fmt.Sprint("a stuck row ", strings.Trim(fmt.Sprint(ids), "[]")), func(d *ops.Database) (bool, error) {
		return d.HasStuck(s.Context, ids)
	})
}

// StuckDiscardCommand gives rows up.
type StuckDiscardCommand struct {
	Change
	IDs []int64 `arg:"" name:"id" help:"The rows."`
}

// Run implements the command.
func (c StuckDiscardCommand) Run(s *Session) error {
	if strings.TrimSpace(c.Reason) == "" {
		return errors.New("say why: --reason")
	}
	d, err := c.thatHasStuck(s, c.IDs...)
	if err != nil {
		return err
	}
	return c.outcomes(s, c.IDs, func(id int64) (ops.Outcome, error) { return d.Discard(s.Context, c.by(), id) })
}

// outcomes runs a verb for each row and says what was seen to come of it.
func (c Change) outcomes(s *Session, ids []int64, verb func(int64) (ops.Outcome, error)) error {
	all := []ops.Outcome{}
	var errs []error
	refused := 0
	for _, id := range ids {
		outcome, err := verb(id)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, outcome)
		if outcome.Result == ops.RefusedAgain {
			refused++
		}
		if c.JSON {
			continue
		}
		switch outcome.Result {
		case "waiting":
			s.printf("row %d: asked for; nothing seen of it yet (does a relay lead this database, and does the broker answer?)\n", id)
		case ops.RefusedAgain:
			s.printf("row %d: refused again: %s\n", id, outcome.Error)
		default:
			s.printf("row %d: %s\n", id, outcome.Result)
		}
	}
	if c.JSON {
		errs = append(errs, s.json(all))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%d of %d rows: %w", len(ids)-len(all), len(ids), err)
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d rows were refused again", refused, len(ids))
	}
	return nil
}
