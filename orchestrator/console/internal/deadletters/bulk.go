package deadletters

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"waybill.example/chassis/apiclient"
	api "waybill.example/chassis/deadletters"
	"waybill.example/orchestrator/console/internal/page"
)

// previewed is what a job would do, with the form that starts it.
type previewed struct {
	Verb    string             `json:"verb"`
	Service string             `json:"service"`
	Would   api.DeadLetterBulk `json:"would"`
	// Filter is the query of the filter: one field of the form, since a reason of the filter is not
	// the reason of the change.
	Filter string `json:"filter"`
}

// Danger reports whether it cannot be undone.
func (p previewed) Danger() bool { return p.Verb == "discard" }

// defaultBulkRate is how many dead letters a second a job changes where nothing is said.
const defaultBulkRate = 50

// ask asks a service what a job would do, or has it done.
func (s screen) ask(ctx context.Context, r *page.Request, dryRun bool) (p previewed, err error) {
	p = previewed{Verb: r.PathValue("verb"), Service: r.PostFormValue("service")}
	if p.Verb != "redrive" && p.Verb != "discard" {
		return p, &apiclient.Refusal{Status: http.StatusNotFound, Detail: "dead letters can be redriven or discarded"}
	}
	if p.Service == "" {
		return p, page.Invalid("choose a service: a job is of one")
	}
	rate := float64(defaultBulkRate)
	if text := strings.TrimSpace(r.PostFormValue("rate")); text != "" {
		if rate, err = strconv.ParseFloat(text, 64); err != nil {
			return p, page.Invalid(fmt.Sprintf("%q is not a number of dead letters per second", text))
		}
	}
	why := "previewed in the console"
	if !dryRun {
		if why, err = reason(r); err != nil {
			return p, err
		}
	}
	asked, err := url.ParseQuery(r.PostFormValue("filter"))
	if err != nil {
		return p, page.Invalid("the filter cannot be read")
	}
	p.Filter = asked.Encode()
	request := apiclient.Request{
		Path: page.Path("/v1/dead-letters/%s", p.Verb) + filter(asked.Get),
		Body: map[string]any{"reason": why, "rate": rate, "dryRun": dryRun},
	}
	return p, post(ctx, s.service(p.Service), request, &p.Would)
}

func (s screen) preview(ctx context.Context, r *page.Request) (any, error) {
	p, err := s.ask(ctx, r, true)
	for i, l := range p.Would.Sample {
		p.Would.Sample[i] = masked(r, l)
	}
	return p, err
}

// bulk starts the job that was previewed: of as many dead letters as were typed.
func (s screen) bulk(ctx context.Context, r *page.Request) (any, error) {
	now, err := s.ask(ctx, r, true)
	if err != nil {
		return nil, err
	}
	if typed := strings.TrimSpace(r.PostFormValue("count")); typed != strconv.Itoa(now.Would.Count) {
		return nil, page.Invalid(fmt.Sprintf("type how many there are to confirm: it is %d by now, and you typed %q", now.Would.Count, typed))
	}
	done, err := s.ask(ctx, r, false)
	if err != nil {
		return nil, err
	}
	if done.Would.Job == nil {
		return page.Result{Text: "There is nothing to do"}, nil
	}
	return page.Result{
		Text: fmt.Sprintf("Batch %d takes %d of them, one after the other", done.Would.Job.ID, done.Would.Job.Total),
		Link: page.Path("/batches/%s/%d", done.Service, done.Would.Job.ID), Label: "Its progress and results",
	}, nil
}
