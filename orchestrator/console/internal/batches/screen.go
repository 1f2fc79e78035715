// Package batches is the console's screen of what operators have done to many things at once: the
// jobs of all services and the relay's replays, who started them and why, how far they are, what
// came of each item; and to pause, resume and cancel them.
package batches

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/jobs"
	"waybill.example/orchestrator/console/internal/outbox"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

//go:embed *.html
var templates embed.FS

type screen struct{ sources *source.Sources }

// New returns the screen.
func New(sources *source.Sources) page.Screen {
	s := screen{sources}
	return page.Screen{
		Title: "Batches", Path: "/batches", Key: "b", Templates: templates,
		Pages: []page.Page{
			{Path: "/batches", Template: "list.html", Title: "Batches", Load: s.list},
			{Path: "/batches/{service}/{id}", Template: "job.html", Title: "Batch", Load: s.job},
		},
		Actions: []page.Action{
			{Path: "/batches/{service}/{id}/pause", Do: s.change("pause")},
			{Path: "/batches/{service}/{id}/resume", Do: s.change("resume")},
			{Path: "/batches/{service}/{id}/cancel", Do: s.change("cancel")},
		},
	}
}

// services are those that have jobs, and are configured.
func (s screen) services() []*source.Client {
	return slices.DeleteFunc(s.sources.All(), func(c *source.Client) bool { return c == s.sources.Relay })
}

func (s screen) service(name string) *source.Client {
	for _, c := range s.services() {
		if c.Name() == name {
			return c
		}
	}
	return nil
}

// batch is a job of a service.
type batch struct {
	Service string `json:"service"`
	jobs.Job
}

// What says what it does to each item.
func (b batch) What() string {
	what, verb, ok := strings.Cut(b.Kind, ".")
	if !ok {
		return b.Kind
	}
	return verb + " " + map[string]string{"saga": "sagas", "dead-letter": "dead letters"}[what]
}

// Worked is how many of its items have had their turn.
func (b batch) Worked() int { return b.Done + b.NoEffect + b.Refused }

// Link is where the console has an item of it; empty: nowhere.
func (b batch) Link(item string) string {
	what, _, _ := strings.Cut(b.Kind, ".")
	switch definition, id, found := strings.Cut(item, "/"); {
	case what == "saga" && found:
		return page.Path("/sagas/%s/%s", definition, id)
	case what == "dead-letter":
		return page.Path("/dead-letters/%s/%s", b.Service, item)
	}
	return ""
}

// Open reports whether it has not ended.
func (b batch) Open() bool {
	return b.State == jobs.Queued || b.State == jobs.Running || b.State == jobs.Paused
}

type listPage struct {
	Batches []batch         `json:"batches"`
	Replays []outbox.Replay `json:"replays"`
	Running int             `json:"running"`
}

func (s screen) list(ctx context.Context, r *page.Request) (any, error) {
	p := listPage{Batches: []batch{}, Replays: []outbox.Replay{}}
	services := s.services()
	lists := make([][]jobs.Job, len(services))
	path := "/v1/jobs"
	if state := r.URL.Query().Get("state"); state != "" {
		path += "?state=" + page.Path("%s", state)
	}
	var asking sync.WaitGroup
	for i, c := range services {
		asking.Go(func() {
			found, err := source.Get[jobs.JobList](ctx, c, path)
			if err == nil { // or else the page says so
				lists[i] = found.Jobs
			}
		})
	}
	asking.Go(func() {
		if replays, err := outbox.Replays(ctx, s.sources.Relay, shownReplays); err == nil {
			p.Replays = replays
		}
	})
	asking.Wait()
	for i, list := range lists {
		for _, job := range list {
			p.Batches = append(p.Batches, batch{services[i].Name(), masked(r, job)})
		}
	}
	p.sort()
	return p, nil
}

// shownReplays is how many of the newest replays of each database are shown.
const shownReplays = 10

// sort puts the newest first, and counts.
func (p *listPage) sort() {
	slices.SortFunc(p.Batches, func(a, b batch) int { return b.CreatedAt.Compare(a.CreatedAt) })
	slices.SortFunc(p.Replays, func(a, b outbox.Replay) int { return b.RequestedAt.Compare(a.RequestedAt) })
	for _, b := range p.Batches {
		if b.Open() {
			p.Running++
		}
	}
	for _, r := range p.Replays {
		if r.Running() {
			p.Running++
		}
	}
}

type jobPage struct {
	batch
	Items []jobs.JobItem `json:"items"`
	Next  string         `json:"next,omitempty"`
}

// Badge is the class of a result's badge.
func (p jobPage) Badge(result *jobs.Outcome) string {
	return map[jobs.Outcome]string{jobs.OutcomeDone: "good", jobs.OutcomeRefused: "bad"}[*result]
}

// Title implements the frame's titles.
func (p jobPage) Title() string { return fmt.Sprintf("Batch %d of %s", p.ID, p.Service) }

func (s screen) job(ctx context.Context, r *page.Request) (any, error) {
	service, asked := s.service(r.PathValue("service")), r.URL.Query()
	path := page.Path("/v1/jobs/%s", r.PathValue("id"))
	job, err := source.Get[jobs.Job](ctx, service, path)
	if err != nil {
		return nil, err
	}
	query := url.Values{"limit": {"100"}}
	for _, name := range []string{"result", "cursor"} {
		if value := asked.Get(name); value != "" {
			query.Set(name, value)
		}
	}
	results, err := source.Get[jobs.JobResults](ctx, service, path+"/results?"+query.Encode())
	for i, item := range results.Items {
		if item.Detail != nil {
			shown := r.Text(*item.Detail)
			results.Items[i].Detail = &shown
		}
	}
	return jobPage{batch{service.Name(), masked(r, job)}, results.Items, results.Next}, err
}

// masked hides what not everybody may see: the filter may name keys and attributes.
func masked(r *page.Request, job jobs.Job) jobs.Job {
	if !r.Can(admin.Reader) {
		job.Parameters = nil
	}
	return job
}

// change pauses, resumes or cancels a job, in whatever state that allows it.
func (s screen) change(verb string) func(context.Context, *page.Request) (any, error) {
	return func(ctx context.Context, r *page.Request) (any, error) {
		why := strings.TrimSpace(r.PostFormValue("reason"))
		if why == "" {
			return nil, page.Invalid("say why: the audit log keeps the reason")
		}
		answer, err := s.service(r.PathValue("service")).Do(ctx, apiclient.Request{
			Method: http.MethodPost, Path: page.Path("/v1/jobs/%s/%s", r.PathValue("id"), verb),
			Body: map[string]string{"reason": why},
		})
		if err != nil {
			return nil, err
		}
		var job jobs.Job
		if err := json.Unmarshal(answer, &job); err != nil {
			return nil, fmt.Errorf("read what became of the batch: %w", err)
		}
		b := batch{Job: job}
		return page.Result{Text: fmt.Sprintf("It is %s, after %d of %d items", job.State, b.Worked(), job.Total)}, nil
	}
}
