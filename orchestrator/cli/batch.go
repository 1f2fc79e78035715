package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/jobs"
	"waybill.example/orchestrator/httpapi"
)

// Batch is `saga batch`: one intervention in every saga that a filter chooses.
type Batch struct {
	Action string `arg:"" help:"What to do: retry, cancel, resolve, skip-wait, edit-data, suspend, resume, restart-from, force, move-deadline or revoke-deadline."`

	State      string   `group:"Which sagas" help:"Only this state, such as COMPENSATION_STUCK."`
	Definition string   `group:"Which sagas" help:"Only this definition, or one version of it: order, or order@1."`
	Waiting    string   `group:"Which sagas" name:"step" help:"Only those that wait for this step."`
	Attempt    int      `group:"Which sagas" help:"Only those whose wait is at this attempt, or a later one."`
	OlderThan  string   `group:"Which sagas" help:"Only those that began longer ago, such as 10m."`
	Overdue    bool     `group:"Which sagas" help:"Only those whose deadline has passed."`
	Stuck      bool     `group:"Which sagas" help:"Only those that a person should look at."`
	Sagas      []string `group:"Which sagas" name:"saga" help:"Only these, each as definition/id; may be repeated." placeholder:"DEFINITION/ID" sep:"none"`
	Attributes []string `group:"Which sagas" help:"Only those with this search attribute, such as sku=burger; may be repeated." name:"attr" placeholder:"NAME=VALUE" sep:"none"`

	OnStep string `group:"What to do" help:"The step that the action is about, where it needs one."`
	As     string `group:"What to do" help:"resolve: done, failed or undone."`
	Reply  string `group:"What to do" help:"resolve: the type of the reply that is stood in for."`
	Data   string `group:"What to do" help:"resolve: the reply's body, as JSON."`
	Patch  string `group:"What to do" help:"edit-data: a JSON merge patch."`
	End    string `group:"What to do" help:"force: CONFIRMED or CANCELLED."`
	To     string `group:"What to do" help:"move-deadline: when, as 2026-11-26T15:04:05Z."`

	Reason string  `help:"Why; kept in each saga's timeline." required:""`
	Rate   float64 `help:"Sagas per second, at most." default:"50"`
	Yes    bool    `help:"Do it. Without: only say which sagas that would be."`
	Wait   bool    `help:"Wait until it is done."`
}

// Run counts what the filter chooses, or makes a job of it.
func (c *Batch) Run(s *Saga, t Terminal) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	path := "/v1/saga-batches"
	if !c.Yes {
		path += "?dryRun=true"
	}
	if !c.Yes || !c.Wait {
		var batch httpapi.Batch
		return s.show(t, http.MethodPost, path, body, &batch, func(p *printer) { p.batch(c, batch) })
	}
	answer, err := s.call(t.Context, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	var batch httpapi.Batch
	if err := s.client().Decode(answer, &batch); err != nil {
		return err
	}
	if batch.Job == nil {
		return s.print(t, answer, func(p *printer) { p.batch(c, batch) })
	}
	return c.wait(s, t, batch.Job.ID)
}

// wait follows the job to its end. One that was stopped or has failed is an error.
func (c *Batch) wait(s *Saga, t Terminal, id int64) error {
	path := "/v1/jobs/" + strconv.FormatInt(id, 10)
	for {
		var job jobs.Job
		err := s.client().Get(t.Context, path, &job)
		if err != nil && !busy(err) {
			return err
		}
		if job.EndedAt == nil && job.State != jobs.Paused {
			select {
			case <-t.Context.Done():
				return t.Context.Err()
			case <-time.After(500 * time.Millisecond):
			}
			continue
		}
		if err := s.show(t, http.MethodGet, path, nil, &job, func(p *printer) { p.job(job) }); err != nil {
			return err
		}
		if job.State != jobs.Finished {
			return fmt.Errorf("the job is %s", job.State)
		}
		return nil
	}
}

// busy reports whether a service says to come again: the job goes on all the same.
func busy(err error) bool {
	refusal, ok := errors.AsType[*apiclient.Refusal](err)
	return ok && refusal.Status == http.StatusServiceUnavailable
}

func (c *Batch) body() (map[string]any, error) {
	filter := map[string]any{"state": c.State, "step": c.Waiting, "olderThan": c.OlderThan, "overdue": c.Overdue, "stuck": c.Stuck}
	if c.Attempt > 0 {
		filter["attempt"] = c.Attempt
	}
	name, version, versioned := strings.Cut(c.Definition, "@")
	filter["definition"] = name
	if versioned {
		n, err := strconv.Atoi(version)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("--definition is a name, or a name and a version: order@1, not %s", c.Definition)
		}
		filter["version"] = n
	}
	attributes := map[string]string{}
	for _, condition := range c.Attributes {
		name, value, ok := strings.Cut(condition, "=")
		if !ok {
			return nil, fmt.Errorf("--attr is NAME=VALUE, not %s", condition)
		}
		attributes[name] = value
	}
	if len(c.Sagas) > 0 {
		filter["sagas"] = c.Sagas
	}
	if len(attributes) > 0 {
		filter["attributes"] = attributes
	}
	request := map[string]any{"action": c.Action, "step": c.OnStep, "as": c.As, "reply": c.Reply, "end": c.End, "to": c.To}
	for name, text := range map[string]string{"data": c.Data, "patch": c.Patch} {
		if text == "" {
			continue
		}
		if !json.Valid([]byte(text)) {
			return nil, fmt.Errorf("--%s is not JSON: %s", name, text)
		}
		request[name] = json.RawMessage(text)
	}
	return map[string]any{"filter": given(filter), "intervention": given(request), "reason": c.Reason, "rate": c.Rate}, nil
}

// given leaves out what was not said.
func given(all map[string]any) map[string]any {
	for name, value := range all {
		if value == "" || value == false {
			delete(all, name)
		}
	}
	return all
}

func (p *printer) batch(c *Batch, b httpapi.Batch) {
	if b.Job == nil && c.Yes {
		p.line("The filter chooses no saga: nothing was done.")
		return
	}
	if b.Job == nil {
		p.line("%s would be done to %d sagas.", c.Action, b.Count)
		if b.Count > 0 {
			p.line("The newest of them:\n")
			p.sample(b.Sample)
			p.line("\nNothing was done: say --yes to do it, at %g sagas per second or --rate.", c.Rate)
		}
		return
	}
	p.line("Job %d was made: %s of %d sagas, at most %g per second.", b.Job.ID, c.Action, b.Job.Total, b.Job.Rate)
	p.line("Follow it:  waybill jobs show orchestrator/%d", b.Job.ID)
	p.line("Stop it:    waybill jobs pause orchestrator/%d --reason=…", b.Job.ID)
}

func (p *printer) sample(sagas []httpapi.SagaLine) { p.list(sagas, "") }

func (p *printer) job(j jobs.Job) {
	p.line("Job %d of %d sagas is %s: %d done, %d needed nothing any more, %d refused.", j.ID, j.Total, j.State, j.Done, j.NoEffect, j.Refused)
	if j.StartedAt != nil && j.EndedAt != nil {
		p.line("Took: %s", short(j.EndedAt.Sub(*j.StartedAt)))
	}
	p.line("Each result: waybill jobs results orchestrator/%d", j.ID)
}
