package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/terminal"
	"waybill.example/sdk/saga/runner/inspect"
)

type listInput struct {
	httpserver.Page
	State      httpserver.Text `query:"state" maxLength:"64" doc:"RUNNING, COMPENSATING, COMPENSATION_STUCK, SUSPENDED, or an end such as CONFIRMED"`
	Definition httpserver.Text `query:"definition" maxLength:"128"`
	Version    int             `query:"version" minimum:"0" doc:"Of the definition; all if left out"`
	Overdue    bool            `query:"overdue" doc:"Only those whose deadline has passed"`
	Stuck      bool            `query:"stuck" doc:"Only those that a person should look at"`
	OlderThan  httpserver.Text `query:"olderThan" maxLength:"32" doc:"Only those that began longer ago, such as 90s or 2h"`
	Attributes []string        `query:"attr,explode" maxItems:"8" doc:"Only those with this search attribute, such as sku=burger; all of them if there are several" example:"[\"sku=burger\"]"`
}

type listOutput struct {
	httpserver.Paged
	Body struct {
		Sagas []inspect.Summary `json:"sagas" nullable:"false"`
		Next  string            `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
	}
}

func (a *API) list(ctx context.Context, in *listInput) (*listOutput, error) {
	f := inspect.Filter{
		State: strings.ToUpper(string(in.State)), Definition: string(in.Definition), Overdue: in.Overdue,
		Version: in.Version, Stuck: in.Stuck, Limit: in.Limit + 1,
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
	if in.Cursor != "" {
		if f.After, err = parseCursor(in.Cursor); err != nil {
			return nil, httpserver.InvalidCursor()
		}
	}
	sagas, err := a.Sagas.List(ctx, f, time.Now())
	if err != nil {
		return nil, err
	}
	if a.Readers != nil {
		for i := range sagas {
			sagas[i].Attributes = nil // they are part of what a saga carries
		}
	}
	out := &listOutput{}
	if len(sagas) > in.Limit {
		sagas = sagas[:in.Limit]
		last := sagas[in.Limit-1]
		out.Body.Next = formatCursor(inspect.Cursor{StartedAt: last.StartedAt, ID: last.ID, Definition: last.Definition})
	}
	out.Body.Sagas = sagas
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
	return base64.RawURLEncoding.EncodeToString([]byte(c.StartedAt.UTC().Format(time.RFC3339Nano) + " " + c.Definition + "\x00" + c.ID))
}

func parseCursor(s string) (inspect.Cursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return inspect.Cursor{}, err
	}
	at, rest, _ := strings.Cut(string(raw), " ")
	definition, id, found := strings.Cut(rest, "\x00")
	if !found || id == "" || !terminal.Plain(id) || !terminal.Plain(definition) {
		return inspect.Cursor{}, errors.New("no id")
	}
	started, err := time.Parse(time.RFC3339Nano, at)
	return inspect.Cursor{StartedAt: started, ID: id, Definition: definition}, err
}
