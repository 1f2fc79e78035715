package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/outbox-relay/internal/source"
)

// ReplayCommand sends published rows again.
type ReplayCommand struct {
	Change
	FromID int64  `help:"The first id."`
	ToID   int64  `help:"The last id."`
	Key    string `help:"Rows of one key."`
	Since  string `help:"Rows inserted at this time or later: RFC 3339, or how long ago, such as 2h."`
	Until  string `help:"Rows inserted before this time: RFC 3339, or how long ago."`
	Topic  string `help:"Where to send. Default: where each row went."`
	Rate   int    `default:"5000" help:"Rows a second at most."`
	Yes    bool   `help:"Do it."`
	Detach bool   `help:"Do not wait for the end; outbox-relay replays list shows the progress."`
}

// Run implements the command.
func (c ReplayCommand) Run(s *Session) error {
	selection, err := c.selection(time.Now())
	if err != nil {
		return err
	}
	topic := set(c.Topic)
	switch {
	case !c.Yes:
		return c.plan(s, selection, topic)
	case strings.TrimSpace(c.Reason) == "":
		return errors.New("say why: --reason")
	}
	d, err := s.that(c.Where, "published rows of that selection", func(d *ops.Database) (bool, error) {
		plan, err := d.PlanReplay(s.Context, selection, topic, nil)
		return plan.Rows > 0, err
	})
	if err != nil {
		return err
	}
	job, err := d.StartReplay(s.Context, c.by(), selection, topic, c.Rate)
	if err != nil {
		return err
	}
	if !c.Detach {
		return c.follow(s, d, job)
	}
	if c.JSON {
		return s.json(job)
	}
	s.printf("replay %d of %d rows has been asked for\n", job.ID, job.Total)
	return nil
}

func (c ReplayCommand) selection(now time.Time) (source.Selection, error) {
	selection := source.Selection{FromID: set(c.FromID), ToID: set(c.ToID), Key: set(c.Key)}
	var err error
	if selection.Since, err = moment(c.Since, now); err != nil {
		return selection, fmt.Errorf("--since: %w", err)
	}
	if selection.Until, err = moment(c.Until, now); err != nil {
		return selection, fmt.Errorf("--until: %w", err)
	}
	return selection, nil
}

func set[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// moment reads a time, or how long before now it was.
func moment(text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no time was given, which is fine
	}
	if ago, err := time.ParseDuration(text); err == nil {
		t := now.Add(-ago)
		return &t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("%q is neither a time such as 2026-11-23T10:00:00Z nor a duration such as 90m", text)
	}
	return &t, nil
}

// plan says what a replay would do in each database that it may be about.
func (c ReplayCommand) plan(s *Session, selection source.Selection, topic *string) error {
	databases, err := s.all(c.Where)
	if err != nil {
		return err
	}
	plans := map[string]ops.Plan{}
	for _, d := range databases {
		plan, err := d.PlanReplay(s.Context, selection, topic, s.Databases)
		if err != nil {
			return err
		}
		plans[d.Name] = plan
		if !c.JSON {
			c.print(s, d.Name, plan)
		}
	}
	if c.JSON && len(databases) == 1 {
		return s.json(plans[databases[0].Name])
	}
	if c.JSON {
		return s.json(plans)
	}
	return nil
}

func (c ReplayCommand) print(s *Session, database string, plan ops.Plan) {
	s.printf("%s: would send %d rows\n", cell(database), plan.Rows)
	if plan.Sampled > 0 {
		s.printf("  of the first %d:\n", plan.Sampled)
	}
	for _, e := range plan.Effects {
		s.printf("  %s (inbox in %s): %d known already, %d would take effect\n", e.Consumer, e.Database, e.Known, e.New)
	}
	for _, name := range plan.Unreachable {
		s.printf("  the inbox in %s could not be read\n", name)
	}
	if plan.Rows > 0 {
		s.printf("  nothing is sent yet; to do it, add --yes and --reason, for this database: --database %s\n", cell(database))
	}
}

const followEvery = 200 * time.Millisecond

// follow shows how far a replay is, until it ends or the user goes away. Then it goes on by itself.
func (c ReplayCommand) follow(s *Session, d *ops.Database, job ops.Job) error {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	shown := int64(-1)
	for job.FinishedAt == nil {
		if job.Sent != shown && !c.JSON {
			s.printf("replay %d: %d of %d rows sent\n", job.ID, job.Sent, job.Total)
			shown = job.Sent
		}
		select {
		case <-s.Context.Done():
			s.printf("replay %d goes on; to end it: outbox-relay replays cancel %d --database %s\n", job.ID, job.ID, d.Name)
			return nil
		case <-ticker.C:
		}
		next, err := d.Job(s.Context, job.ID)
		if err != nil && s.Context.Err() == nil {
			return err
		}
		if err == nil {
			job = next
		}
	}
	if c.JSON {
		return s.json(job)
	}
	s.printf("replay %d is %s: %d of %d rows sent\n", job.ID, job.State, job.Sent, job.Total)
	switch {
	case job.Error == "":
	case job.State == "failed":
		return fmt.Errorf("replay %d: %s", job.ID, job.Error)
	default:
		s.printf("%s\n", cell(job.Error))
	}
	return nil
}

// ReplaysCommand looks after replays.
type ReplaysCommand struct {
	List   ReplaysListCommand   `cmd:"" default:"1" help:"List replays, newest first."`
	Cancel ReplaysCancelCommand `cmd:"" help:"End a replay. What it has sent is sent."`
}

// ReplaysListCommand lists replays.
type ReplaysListCommand struct {
	Where
	Before int64 `help:"Only replays with a lower number."`
	Limit  int   `default:"20" help:"The most replays to list."`
}

// Run implements the command.
func (c ReplaysListCommand) Run(s *Session) error {
	return listing(s, c.Where, "ID STATE SENT TOTAL TOPIC RATE REQUESTED FINISHED ERROR",
		func(d *ops.Database) ([]ops.Job, error) { return d.Jobs(s.Context, c.Before, c.Limit) },
		func(j ops.Job) []any {
			return []any{j.ID, j.State, j.Sent, j.Total, j.Topic, j.Rate, j.RequestedAt, j.FinishedAt, j.Error}
		})
}

// ReplaysCancelCommand ends a replay.
type ReplaysCancelCommand struct {
	Change
	ID int64 `arg:"" help:"The replay's number."`
}

// Run implements the command.
func (c ReplaysCancelCommand) Run(s *Session) error {
	d, err := s.that(c.Where, fmt.Sprint("a replay ", c.ID, " that is not finished"), func(d *ops.Database) (bool, error) {
		job, err := d.Job(s.Context, c.ID)
		if errors.Is(err, ops.ErrNotFound) {
			return false, nil
		}
		return err == nil && job.FinishedAt == nil, err
	})
	if err != nil {
		return err
	}
	job, err := d.CancelReplay(s.Context, c.by(), c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.json(job)
	}
	s.printf("replay %d is cancelled: %d of %d rows were sent\n", job.ID, job.Sent, job.Total)
	return nil
}
