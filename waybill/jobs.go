package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/jobs"
	saga "waybill.example/orchestrator/cli"
)

// jobsCommand is `waybill jobs`: what was asked for of many things at once.
type jobsCommand struct {
	List    jobsList    `cmd:"" default:"withargs" help:"List the jobs of every service, newest first."`
	Show    jobsShow    `cmd:"" help:"Show one job, and how far it is."`
	Results jobsResults `cmd:"" help:"List the items of a job, with what came of each."`
	Pause   jobsPause   `cmd:"" help:"Stop a job after the item in flight."`
	Resume  jobsResume  `cmd:"" help:"Let a paused job go on."`
	Cancel  jobsCancel  `cmd:"" help:"End a job: what is done stays done, the other items are not touched."`
}

// withJobs are the services that can have jobs.
var withJobs = []string{"orders", "inventory", "orchestrator"}

// serviceJob is a job with the service that has it.
type serviceJob struct {
	Service string `json:"service"`
	jobs.Job
}

func (j serviceJob) name() string { return fmt.Sprintf("%s/%d", j.Service, j.ID) }

type jobsList struct {
	services `embed:""`

	Service string `help:"Only of this service." enum:"orders,inventory,orchestrator," default:""`
	State   string `help:"Only in this state: queued, running, paused, cancelled, finished or failed."`
	Kind    string `help:"Only of this kind, such as saga.retry."`
	Limit   int    `help:"At most this many of each service." default:"20"`
}

// Run lists the jobs of every service. A service that does not answer is named, and the verb fails.
func (c *jobsList) Run(t saga.Terminal) error {
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for name, value := range map[string]string{"state": c.State, "kind": c.Kind} {
		if value != "" {
			query.Set(name, value)
		}
	}
	names := withJobs
	if c.Service != "" {
		names = []string{c.Service}
	}
	all, err := each(names, func(name string) (found []serviceJob, err error) {
		var page struct{ Jobs []jobs.Job }
		if err = c.get(t.Context, name, "/v1/jobs?"+query.Encode(), &page); apiclient.NotFound(err) {
			err = nil // some services have no jobs
		}
		for _, j := range page.Jobs {
			found = append(found, serviceJob{name, j})
		}
		return found, err
	})
	slices.SortStableFunc(all, func(a, b serviceJob) int { return b.CreatedAt.Compare(a.CreatedAt) })
	if c.JSON {
		return errors.Join(err, printJSON(t.Out, all))
	}
	rows := [][]string{{"JOB", "KIND", "STATE", "DONE", "NO EFFECT", "REFUSED", "OF", "CREATED (UTC)", "BY", "REASON"}}
	for _, j := range all {
		rows = append(rows, []string{
			j.name(), j.Kind, string(j.State), strconv.Itoa(j.Done), strconv.Itoa(j.NoEffect), strconv.Itoa(j.Refused), strconv.Itoa(j.Total),
			j.CreatedAt.UTC().Format(time.DateTime), j.Actor, j.Reason,
		})
	}
	if len(all) > 0 || err == nil {
		table(t.Out, rows, "No jobs.")
	}
	return err
}

// oneJob names a job.
type oneJob struct {
	services `embed:""`

	Job string `arg:"" help:"The job, such as orchestrator/7; the number alone where one service has it."`
}

// find returns the job.
func (c *oneJob) find(ctx context.Context) (serviceJob, error) {
	service, number, qualified := strings.Cut(c.Job, "/")
	if !qualified {
		number = service
	}
	if _, err := strconv.ParseUint(number, 10, 63); err != nil || qualified && !slices.Contains(withJobs, service) {
		return serviceJob{}, fmt.Errorf("%q is no job: name it as list does, such as orchestrator/7", c.Job)
	}
	var found []serviceJob
	var errs []error
	for _, name := range withJobs {
		if qualified && name != service {
			continue
		}
		var job jobs.Job
		switch err := c.get(ctx, name, "/v1/jobs/"+number, &job); {
		case err == nil:
			found = append(found, serviceJob{name, job})
		case !apiclient.NotFound(err):
			errs = append(errs, err)
		}
	}
	switch {
	case len(errs) > 0:
		return serviceJob{}, errors.Join(errs...)
	case len(found) == 0:
		return serviceJob{}, fmt.Errorf("there is no job %s", c.Job)
	case len(found) > 1:
		return serviceJob{}, fmt.Errorf("several services have a job %s: say %s or %s", c.Job, found[0].name(), found[1].name())
	}
	return found[0], nil
}

func (c *oneJob) print(t saga.Terminal, j serviceJob) error {
	if c.JSON {
		return printJSON(t.Out, j)
	}
	printf(t.Out, "Job %s: %s (revision %d)\n", j.name(), j.State, j.Revision)
	printf(t.Out, "%s of %d items, for %s: %s\n", j.Kind, j.Total, j.Actor, j.Reason)
	printf(t.Out, "%d done, %d needed nothing any more, %d refused, %d to go", j.Done, j.NoEffect, j.Refused, j.Total-j.Done-j.NoEffect-j.Refused)
	if left := j.Total - j.Done - j.NoEffect - j.Refused; j.State == jobs.Running && left > 0 {
		printf(t.Out, ", %s or more at %g per second", time.Duration(float64(left)/j.Rate*float64(time.Second)).Round(time.Second), j.Rate)
	}
	printf(t.Out, "\n")
	if j.Error != nil {
		printf(t.Out, "Error: %s\n", *j.Error)
	}
	return nil
}

type jobsShow struct {
	oneJob `embed:""`
}

// Run shows the job.
func (c *jobsShow) Run(t saga.Terminal) error {
	job, err := c.find(t.Context)
	if err != nil {
		return err
	}
	return c.print(t, job)
}

type jobsResults struct {
	oneJob `embed:""`

	Result string `help:"Only items with this result: done, no_effect or refused."`
	Cursor string `help:"Go on where the page before ended."`
	Limit  int    `help:"At most this many." default:"100"`
}

// Run lists the items.
func (c *jobsResults) Run(t saga.Terminal) error {
	job, err := c.find(t.Context)
	if err != nil {
		return err
	}
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for name, value := range map[string]string{"result": c.Result, "cursor": c.Cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var page struct {
		Items []jobs.JobItem `json:"items"`
		Next  string         `json:"next,omitempty"`
	}
	if err := c.get(t.Context, job.Service, fmt.Sprintf("/v1/jobs/%d/results?%s", job.ID, query.Encode()), &page); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.Out, page)
	}
	rows := [][]string{{"ITEM", "RESULT", "AT (UTC)", "BECAUSE"}}
	for _, i := range page.Items {
		row := []string{i.Item, "", "", ""}
		if i.Result != nil {
			row[1], row[2] = strings.ReplaceAll(string(*i.Result), "_", " "), i.At.UTC().Format(time.DateTime)
		}
		if i.Detail != nil {
			row[3] = *i.Detail
		}
		rows = append(rows, row)
	}
	table(t.Out, rows, "No items.")
	if page.Next != "" {
		printf(t.Out, "\nMore: --cursor %s\n", page.Next)
	}
	return nil
}

// jobChange is what the verbs that change a job share.
type jobChange struct {
	oneJob `embed:""`

	Reason   string `help:"Why; kept in the audit log." required:""`
	Revision *int   `help:"Only if the job is still at this revision, which show prints."`
}

// Validate implements kong's validation.
func (c *jobChange) Validate() error {
	if c.Revision != nil && *c.Revision < 1 { // none would be no condition
		return errors.New("--revision must be 1 or more")
	}
	return nil
}

func (c *jobChange) do(t saga.Terminal, verb string) error {
	job, err := c.find(t.Context)
	if err != nil {
		return err
	}
	request := apiclient.Request{
		Method: http.MethodPost, Path: fmt.Sprintf("/v1/jobs/%d/%s", job.ID, verb), Body: map[string]string{"reason": c.Reason},
	}
	if c.Revision != nil {
		request.IfMatch = strconv.Quote(strconv.Itoa(*c.Revision))
	}
	client := c.client(job.Service)
	answer, err := client.Do(t.Context, request)
	if err != nil {
		return err
	}
	if err := client.Decode(answer, &job.Job); err != nil {
		return err
	}
	return c.print(t, job)
}

type jobsPause struct {
	jobChange `embed:""`
}

// Run pauses the job.
func (c *jobsPause) Run(t saga.Terminal) error { return c.do(t, "pause") }

type jobsResume struct {
	jobChange `embed:""`
}

// Run resumes the job.
func (c *jobsResume) Run(t saga.Terminal) error { return c.do(t, "resume") }

type jobsCancel struct {
	jobChange `embed:""`
}

// Run cancels the job.
func (c *jobsCancel) Run(t saga.Terminal) error { return c.do(t, "cancel") }
