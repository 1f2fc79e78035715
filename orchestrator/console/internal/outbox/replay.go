package outbox

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/page"
)

// replayPage is the form of a replay, filled in with what the URL says.
type replayPage struct {
	Database string `json:"database"`
	From     string `json:"fromId,omitempty"`
	To       string `json:"toId,omitempty"`
	Key      string `json:"key,omitempty"`
}

// Title implements the frame's titles.
func (p replayPage) Title() string { return "Replay rows of " + p.Database }

func (s screen) replayForm(_ context.Context, r *page.Request) (any, error) {
	asked := r.URL.Query()
	return replayPage{Database: r.PathValue("database"), From: asked.Get("from"), To: asked.Get("to"), Key: asked.Get("key")}, nil
}

// selection is what a replay sends: the body of the request.
type selection struct {
	FromID *int64     `json:"fromId,omitempty"`
	ToID   *int64     `json:"toId,omitempty"`
	Key    string     `json:"key,omitempty"`
	Since  *time.Time `json:"since,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
	Topic  string     `json:"topic,omitempty"`
	Rate   int        `json:"rate,omitempty"`
	Yes    bool       `json:"yes,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// defaultRate is how many rows a second a replay sends where nothing is said.
const defaultRate = 1000

// choose reads the form. An empty field does not restrict.
func choose(value func(string) string) (c selection, err error) {
	c = selection{Key: value("key"), Topic: strings.TrimSpace(value("topic")), Rate: defaultRate, Reason: value("reason")}
	for name, into := range map[string]**int64{"from": &c.FromID, "to": &c.ToID} {
		if text := strings.TrimSpace(value(name)); text != "" {
			id, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return c, page.Invalid(fmt.Sprintf("%q is not the id of a row", text))
			}
			*into = &id
		}
	}
	for name, into := range map[string]**time.Time{"since": &c.Since, "until": &c.Until} {
		if text := strings.TrimSpace(value(name)); text != "" {
			at, err := instant(text, time.Now())
			if err != nil {
				return c, err
			}
			*into = &at
		}
	}
	if text := strings.TrimSpace(value("rate")); text != "" {
		if c.Rate, err = strconv.Atoi(text); err != nil || c.Rate < 1 {
			return c, page.Invalid(fmt.Sprintf("%q is not a number of rows per second", text))
		}
	}
	return c, nil
}

// instant reads a time, or how long ago it was.
func instant(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, page.Invalid(fmt.Sprintf("%q is neither a time in UTC such as 2026-11-26T09:30 nor a duration such as 15m", text))
}

// planned is the dry run of a replay, with the form that carries it out.
type planned struct {
	Database  string    `json:"database"`
	Plan      plan      `json:"plan"`
	Selection selection `json:"selection"`
	// Form is what was filled in, to be sent once more.
	Form []field `json:"-"`
}

type field struct{ Name, Value string }

var fields = []string{"from", "to", "key", "topic", "rate"}

func (s screen) planReplay(ctx context.Context, r *page.Request) (any, error) {
	chosen, err := choose(r.PostFormValue)
	if err != nil {
		return nil, err
	}
	p := planned{Database: r.PathValue("database"), Selection: chosen}
	if p.Plan, err = s.plan(ctx, p.Database, chosen); err != nil {
		return nil, err
	}
	for _, name := range fields {
		p.Form = append(p.Form, field{name, r.PostFormValue(name)})
	}
	// What was said as so long ago is the same instant when it is carried out.
	for name, at := range map[string]*time.Time{"since": chosen.Since, "until": chosen.Until} {
		if at != nil {
			p.Form = append(p.Form, field{name, at.UTC().Format(time.RFC3339Nano)})
		}
	}
	return p, nil
}

func (s screen) plan(ctx context.Context, database string, chosen selection) (plan, error) {
	var answer struct{ Plan plan }
	err := s.post(ctx, apiclient.Request{Path: of(database, "/replays"), Body: chosen}, &answer)
	return answer.Plan, err
}

// startReplay starts what was previewed: as many rows as were typed.
func (s screen) startReplay(ctx context.Context, r *page.Request) (any, error) {
	chosen, err := choose(r.PostFormValue)
	if err != nil {
		return nil, err
	}
	database := r.PathValue("database")
	now, err := s.plan(ctx, database, chosen)
	if err != nil {
		return nil, err
	}
	if typed := strings.TrimSpace(r.PostFormValue("count")); typed != strconv.FormatInt(now.Rows, 10) {
		return nil, page.Invalid(fmt.Sprintf("type how many rows are sent to confirm: it is %s by now, and you typed %q", rows(now.Rows), typed))
	}
	chosen.Yes = true
	var answer struct{ Job Replay }
	if err := s.post(ctx, apiclient.Request{Path: of(database, "/replays"), Body: chosen}, &answer); err != nil {
		return nil, err
	}
	return page.Result{
		Text: fmt.Sprintf("Replay %d sends %s", answer.Job.ID, rows(answer.Job.Total)),
		Link: page.Path("/outbox/%s", database) + "?show=replays", Label: "its progress",
	}, nil
}

func (s screen) cancelReplay(ctx context.Context, r *page.Request) (any, error) {
	var job Replay
	path := of(r.PathValue("database"), "/replays/%s/cancel", r.PathValue("id"))
	if err := s.post(ctx, apiclient.Request{Method: http.MethodPost, Path: path, Body: reason(r)}, &job); err != nil {
		return nil, err
	}
	return page.Result{Text: fmt.Sprintf("Replay %d is %s; %s were sent", job.ID, job.State, rows(job.Sent))}, nil
}
