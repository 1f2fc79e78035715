package cli

import (
	"errors"
	"fmt"

	"waybill.example/outbox-relay/internal/ops"
)

// GapsCommand shows ids that are missing, and what holds them open.
type GapsCommand struct {
	Where
	Limit int `default:"10" help:"The most ranges of ids to show."`
}

// Run implements the command.
func (c GapsCommand) Run(s *Session) error {
	databases, err := s.all(c.Where)
	if err != nil {
		return err
	}
	all := []ops.Gaps{}
	var errs []error
	for _, d := range databases {
		gaps, err := d.Gaps(s.Context, c.Limit)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, gaps)
		if !c.JSON {
			errs = append(errs, c.print(s, gaps))
		}
	}
	if c.JSON {
		errs = append(errs, s.json(all))
	}
	return errors.Join(errs...)
}

func (c GapsCommand) print(s *Session, gaps ops.Gaps) error {
	if gaps.Count == 0 {
		s.printf("%s: no gaps\n", cell(gaps.Database))
		return nil
	}
	s.printf("%s: %d ids are missing in %d ranges:", cell(gaps.Database), gaps.IDs, gaps.Count)
	for _, r := range gaps.Lowest {
		if r.From == r.To {
			s.printf(" %d", r.From)
		} else {
			s.printf(" %d-%d", r.From, r.To)
		}
	}
	if int64(len(gaps.Lowest)) < gaps.Count {
		s.printf(" …")
	}
	s.printf("\n")
	if len(gaps.Holders) == 0 {
		s.printf("nothing holds them: their transactions were rolled back, or their ids never handed out; the relay that leads closes the former in seconds\n")
		return nil
	}
	var rows [][]any
	for _, h := range gaps.Holders {
		who := "prepared"
		switch {
		case h.GID != nil:
			who += " " + *h.GID
		case h.PID != nil:
			who = fmt.Sprint("pid ", *h.PID)
		}
		rows = append(rows, []any{who, h.Role, h.Application, h.State, h.Since, h.Query})
	}
	s.table("HELD-BY ROLE APPLICATION STATE SINCE QUERY", rows)
	return nil
}
