package httpapi

import (
	"context"
	"strings"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/terminal"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga/runner/inspect"
)

type listInput struct {
	httpserver.Page
	State      httpserver.Text `query:"state" maxLength:"64" doc:"RUNNING, COMPENSATING, COMPENSATION_STUCK, SUSPENDED, or an end such as CONFIRMED"`
	Definition httpserver.Text `query:"definition" maxLength:"128"`
	Version    int             `query:"version" minimum:"0" maximum:"2147483647" doc:"Of the definition; all if left out"`
	Step       httpserver.Text `query:"step" maxLength:"128" doc:"Only those that wait for this step"`
	Attempt    int             `query:"attempt" minimum:"0" maximum:"1000000" doc:"Only those whose wait is at this attempt, or a later one"`
	Overdue    bool            `query:"overdue" doc:"Only those whose deadline has passed"`
	Stuck      bool            `query:"stuck" doc:"Only those that a person should look at"`
	OlderThan  httpserver.Text `query:"olderThan" maxLength:"32" doc:"Only those that began longer ago, such as 90s or 2h"`
	Attributes []string        `query:"attr,explode" maxItems:"8" doc:"Only those with this search attribute, such as sku=burger; all of them if there are several" example:"[\"sku=burger\"]"`
}

type listOutput struct {
	httpserver.Paged
	Body struct {
		Sagas []SagaLine `json:"sagas" nullable:"false"`
		Next  string     `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
		// SearchedTo is set where the page ended since enough sagas were looked at.
		SearchedTo *time.Time `json:"searchedTo,omitempty" doc:"How far back was looked; the page is short since older sagas were not looked at yet: the next page goes on there"`
	}
}

// SagaLine is one line of a list of sagas.
type SagaLine struct {
	inspect.Summary

	Says string `json:"says" doc:"Where it stands, in a sentence: the first line of its explanation"`
}

// lines are sagas as a list shows them.
func (a *API) lines(ctx context.Context, sagas []inspect.Summary, now time.Time) []SagaLine {
	lines := make([]SagaLine, len(sagas))
	for i, s := range sagas {
		if a.Readers != nil || a.Masks.HidesSaga(admin.RoleOf(ctx), s.Definition) {
			s.Attributes = nil // they are part of what a saga carries
		}
		lines[i] = SagaLine{s, explain.FirstLine(a.Sagas.Registry(), s.Standing, now)}
	}
	return lines
}

func (a *API) list(ctx context.Context, in *listInput) (*listOutput, error) {
	f := inspect.Filter{
		State: strings.ToUpper(string(in.State)), Definition: string(in.Definition), Overdue: in.Overdue,
		Version: in.Version, Step: string(in.Step), Attempt: in.Attempt, Stuck: in.Stuck, Limit: in.Limit,
	}
	var err error
	if f.Attributes, err = attributes(in.Attributes); err != nil {
		return nil, err
	}
	if in.OlderThan != "" {
		if f.OlderThan, err = time.ParseDuration(string(in.OlderThan)); err != nil || f.OlderThan < 0 {
			return nil, invalid("query.olderThan", "must be a duration such as 90s or 2h", in.OlderThan)
		}
	}
	if f.After, err = parseCursor(in.Cursor); err != nil {
		return nil, err
	}
	now := time.Now()
	page, err := a.Sagas.Page(ctx, f, now)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	if page.Next != nil {
		out.Body.Next = formatCursor(*page.Next)
	}
	if page.Searched {
		out.Body.SearchedTo = &page.Next.StartedAt
	}
	out.Body.Sagas = a.lines(ctx, page.Sagas, now)
	out.Paged = httpserver.Next(ctx, out.Body.Next)
	return out, nil
}

// attributes reads conditions such as sku=burger.
func attributes(conditions []string) (map[string]string, error) {
	all := make(map[string]string, len(conditions))
	for _, c := range conditions {
		name, value, found := strings.Cut(c, "=")
		if _, twice := all[name]; !found || name == "" || twice || len(c) > 512 || !terminal.Plain(c) {
			return nil, invalid("query.attr", "must be a name, an equals sign and a value, such as sku=burger, and each name once", c)
		}
		all[name] = value
	}
	return all, nil
}

func formatCursor(c inspect.Cursor) string {
	return httpserver.EncodeCursor(c.StartedAt.UTC().Format(time.RFC3339Nano), c.Definition, c.ID)
}

// parseCursor is the zero cursor for the first page. The error is the answer to send.
func parseCursor(s string) (inspect.Cursor, error) {
	fields, err := httpserver.DecodeCursor(s, 3)
	if fields == nil {
		return inspect.Cursor{}, err
	}
	started, err := time.Parse(time.RFC3339Nano, fields[0])
	if err != nil || fields[2] == "" {
		return inspect.Cursor{}, httpserver.InvalidCursor()
	}
	return inspect.Cursor{StartedAt: started, ID: fields[2], Definition: fields[1]}, nil
}
