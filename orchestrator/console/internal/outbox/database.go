package outbox

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

// views are the lists of a database.
var views = []string{"stuck", "parked", "pending", "recent", "replays", "gaps"}

type databasePage struct {
	Database database     `json:"database"`
	Show     string       `json:"show"`
	Views    []view       `json:"-"`
	Groups   []stuckGroup `json:"stuckGroups"`
	Rows     []listed     `json:"rows,omitempty"`
	Replays  []Replay     `json:"replays,omitempty"`
	Gaps     *gaps        `json:"gaps,omitempty"`
	Next     string       `json:"next,omitempty"`
}

// view is one of the lists that can be chosen, and how much there is in it; negative: unknown.
type view struct {
	Name  string
	Count int64
}

// Title implements the frame's titles.
func (p databasePage) Title() string { return "Outbox of " + p.Database.Database }

func (s screen) database(ctx context.Context, r *page.Request) (any, error) {
	databases, _, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("database")
	i := slices.IndexFunc(databases, func(d database) bool { return d.Database == name })
	if i < 0 {
		_, err := s.groups(ctx, overview{Database: name}) // it says what is the matter
		if err == nil {
			err = page.Invalid("the database " + name + " does not answer")
		}
		return nil, err
	}
	p := databasePage{Database: databases[i], Show: r.URL.Query().Get("show")}
	if !slices.Contains(views, p.Show) {
		p.Show = usual(p.Database)
	}
	for _, v := range views {
		p.Views = append(p.Views, view{v, countOf(p.Database, v)})
	}
	var asking errgroup.Group
	asking.Go(func() (err error) { p.Groups, err = s.groups(ctx, databases[i].overview); return refused(err) })
	asking.Go(func() error { return refused(s.fill(ctx, r, &p)) })
	err = asking.Wait()
	return p, err
}

// usual is the list that one most likely wants.
func usual(d database) string {
	switch {
	case d.Stuck > 0:
		return "stuck"
	case d.Pending > 0 && d.Verdict.Level != "good":
		return "pending"
	}
	return "recent"
}

func countOf(d database, view string) int64 {
	switch view {
	case "stuck":
		return d.Stuck
	case "parked":
		return d.Parked
	case "pending":
		return d.Pending
	case "gaps":
		return d.Gaps
	}
	return -1
}

// paths are where the lists come from.
var paths = map[string]string{"stuck": "stuck", "parked": "parked", "pending": "pending", "recent": "rows", "replays": "replays", "gaps": "gaps"}

// fill adds the list that was chosen.
func (s screen) fill(ctx context.Context, r *page.Request, p *databasePage) error {
	asked := r.URL.Query()
	path := of(p.Database.Database, "/%s", paths[p.Show])
	switch p.Show {
	case "gaps":
		found, err := source.Get[gaps](ctx, s.relay, path)
		p.Gaps = &found
		return err
	case "replays":
		found, err := source.Get[items[Replay]](ctx, s.relay, path+query("cursor", asked.Get("cursor")))
		for i := range found.Items {
			found.Items[i].Database = p.Database.Database
		}
		p.Replays, p.Next = found.Items, found.Next
		return err
	}
	behind := ""
	if p.Show == "parked" {
		behind = asked.Get("behind")
	}
	found, err := source.Get[items[listed]](ctx, s.relay, path+query("cursor", asked.Get("cursor"), "behind", behind))
	p.Rows, p.Next = masked(r, found.Items), found.Next
	return err
}

// masked hides what not everybody may see of rows.
func masked(r *page.Request, rows []listed) []listed {
	for i, row := range rows {
		if row.Key != nil {
			shown := r.Text(*row.Key)
			rows[i].Key = &shown
		}
	}
	return rows
}
