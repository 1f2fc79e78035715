package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/auditlog"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/jobs"
	"waybill.example/chassis/masking"
	"waybill.example/orchestrator/internal/sagabatch"
	"waybill.example/sdk/saga"
)

// Batches intervene in many sagas at once; see [sagabatch.Batches].
type Batches interface {
	Select(ctx context.Context, s sagabatch.Spec, now time.Time) (sagabatch.Selection, error)
	Create(ctx context.Context, s sagabatch.Spec, by auditlog.Entry, rate float64, now time.Time) (*jobs.Job, error)
}

func (a *API) registerBatches(api huma.API) {
	httpserver.HandleJob(a.slow, admin.Secure(api, a.Tokens, admin.For(admin.Admin, huma.Operation{
		OperationID: "create-saga-batch", Method: http.MethodPost, Path: "/v1/saga-batches",
		Summary: "Intervene in all sagas that a filter chooses, by a job; dryRun counts them and shows some",
		Description: "The sagas that the filter chooses now are the items of the job. At its turn each is judged again: one that the filter " +
			"would not choose any more is left alone. Follow the job under /v1/jobs.",
		Tags: []string{"Interventions"},
	})), a.createBatch)
}

// defaultRate is in sagas per second.
const defaultRate = 50

type batchInput struct {
	DryRun bool `query:"dryRun" doc:"Only say what the filter chooses; nothing is written"`
	Body   struct {
		Filter       BatchFilter       `json:"filter"`
		Intervention BatchRequest      `json:"intervention"`
		Reason       httpserver.Reason `json:"reason" minLength:"1" maxLength:"400" doc:"Why; kept in each saga's timeline"`
		Rate         float64           `json:"rate,omitempty" minimum:"0.01" maximum:"1000" default:"50" doc:"Sagas per second, at most"`
	}
}

// BatchFilter chooses sagas. At least one condition is needed.
type BatchFilter struct {
	State      httpserver.Text   `json:"state,omitempty" maxLength:"64" doc:"RUNNING, COMPENSATING, COMPENSATION_STUCK, SUSPENDED, or an end such as CONFIRMED"`
	Definition httpserver.Text   `json:"definition,omitempty" maxLength:"128"`
	Version    int               `json:"version,omitempty" minimum:"1" maximum:"2147483647" doc:"Of the definition"`
	Step       httpserver.Text   `json:"step,omitempty" maxLength:"128" doc:"Only those that wait for this step"`
	Attempt    int               `json:"attempt,omitempty" minimum:"0" maximum:"1000000" doc:"Only those whose wait is at this attempt, or a later one"`
	OlderThan  httpserver.Text   `json:"olderThan,omitempty" maxLength:"32" doc:"Only those that began longer ago, such as 90s or 2h"`
	Overdue    bool              `json:"overdue,omitempty" doc:"Only those whose deadline has passed"`
	Stuck      bool              `json:"stuck,omitempty" doc:"Only those that a person should look at"`
	Attributes map[string]string `json:"attributes,omitempty" doc:"Only those with these search attributes"`
	Sagas      []string          `json:"sagas,omitempty" maxItems:"1000" doc:"Only these of the sagas that the other conditions choose: definition/id" example:"[\"order/17\"]"`
}

// BatchRequest is an intervention; which fields an action needs is that of a single saga.
type BatchRequest struct {
	Action string          `json:"action" enum:"retry,cancel,resolve,skip-wait,edit-data,suspend,resume,restart-from,force,move-deadline,revoke-deadline"`
	Step   httpserver.Text `json:"step,omitempty" maxLength:"128"`
	As     string          `json:"as,omitempty" enum:"done,failed,undone"`
	Reply  httpserver.Text `json:"reply,omitempty" maxLength:"128"`
	Data   any             `json:"data,omitempty" doc:"resolve: the reply's body"`
	Patch  any             `json:"patch,omitempty" doc:"edit-data: a JSON merge patch (RFC 7396)"`
	End    httpserver.Text `json:"end,omitempty" maxLength:"64"`
	To     *time.Time      `json:"to,omitempty"`
}

func (in *batchInput) spec() (sagabatch.Spec, error) {
	f, r := in.Body.Filter, in.Body.Intervention
	spec := sagabatch.Spec{
		Filter: sagabatch.Filter{
			State: string(f.State), Definition: string(f.Definition), Version: f.Version, Step: string(f.Step), Attempt: f.Attempt, OlderThan: string(f.OlderThan),
			Overdue: f.Overdue, Stuck: f.Stuck, Attributes: f.Attributes, Sagas: f.Sagas,
		},
		Intervention: saga.Request{
			Action: saga.Action(r.Action), Step: string(r.Step), As: saga.StepStatus(r.As), Reply: string(r.Reply), End: string(r.End),
		},
	}
	if r.To != nil {
		spec.Intervention.To = *r.To
	}
	for to, value := range map[*json.RawMessage]any{&spec.Intervention.Data: r.Data, &spec.Intervention.Patch: r.Patch} {
		if value == nil {
			continue
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			return spec, fmt.Errorf("encode a batch: %w", err)
		}
		*to = encoded
	}
	return spec, nil
}

type batchOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where the job is"`
	Body     Batch
}

// Batch is what a filter chose, and the job that was made of it.
type Batch struct {
	Count  int        `json:"count" doc:"Sagas that the filter chooses"`
	Sample []SagaLine `json:"sample,omitempty" doc:"The newest of them, in a dry run"`
	Job    *jobs.Job  `json:"job,omitempty" doc:"Absent in a dry run, and where nothing is chosen"`
}

func (a *API) createBatch(ctx context.Context, in *batchInput) (*batchOutput, error) {
	spec, err := in.spec()
	if err != nil {
		return nil, err
	}
	if a.Masks != nil {
		if err := errors.Join(masking.Refuse(spec.Intervention.Data), masking.Refuse(spec.Intervention.Patch)); err != nil {
			return nil, invalid("body.intervention", err.Error(), nil)
		}
	}
	if in.DryRun {
		found, err := a.Batches.Select(ctx, spec, time.Now())
		if err != nil {
			return nil, refusedBatch(err)
		}
		return &batchOutput{Status: http.StatusOK, Body: Batch{Count: found.Count, Sample: a.lines(ctx, found.Sample, time.Now())}}, nil
	}
	by := auditlog.Entry{Actor: admin.Actor(ctx), Client: admin.Client(ctx), Reason: string(in.Body.Reason)}
	job, err := a.Batches.Create(ctx, spec, by, cmp.Or(in.Body.Rate, defaultRate), time.Now())
	if err != nil {
		return nil, refusedBatch(err)
	}
	if job == nil {
		return &batchOutput{Status: http.StatusOK}, nil
	}
	made := job.Shown(a.Masks, admin.RoleOf(ctx))
	a.Log.InfoContext(ctx, "operator created a batch", "job", job.ID, "kind", job.Kind, "sagas", job.Total, "actor", by.Actor, "reason", by.Reason)
	return &batchOutput{Status: http.StatusAccepted, Location: fmt.Sprintf("/v1/jobs/%d", job.ID), Body: Batch{Count: job.Total, Job: &made}}, nil
}

// refusedBatch answers what is wrong with a request.
func refusedBatch(err error) error {
	if problem, ok := errors.AsType[*saga.RequestError](err); ok {
		return invalid("body.intervention."+problem.Field, problem.Problem, nil)
	}
	if errors.Is(err, sagabatch.ErrFilter) {
		return invalid("body.filter", err.Error(), nil)
	}
	return err
}
