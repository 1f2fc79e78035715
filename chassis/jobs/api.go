package jobs

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/auditlog"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/masking"
)

// API serves jobs under /v1/jobs.
type API struct {
	Jobs *Jobs
	// Tokens are who may pause, resume and cancel.
	Tokens admin.Tokens
	// Readers may look; nil: every client that reaches the API.
	Readers *admin.Tokens
	// Known are the tokens whose holders are recognised where there are no Readers, and Masks what
	// is hidden of the parameters of batches; nil: nothing is.
	Known admin.Tokens
	Masks *masking.Rules
}

var answers = []httpserver.Answer{
	{Err: ErrNotFound, Status: http.StatusNotFound, Detail: "there is no such job"},
	{Err: ErrChanged, Status: http.StatusPreconditionFailed},
	{Err: ErrState, Status: http.StatusConflict},
}

// Register adds the operations to those of a service.
func (a *API) Register(ops httpserver.Operations) {
	ops.Answers = slices.Concat(ops.Answers, answers)
	a.registerReads(ops)
	for _, c := range []struct {
		verb, summary string
		do            func(ctx context.Context, tx pgx.Tx, id int64, seen int) (Job, error)
	}{
		{"pause", "Stop a job after the item in flight", a.Jobs.Pause},
		{"resume", "Let a paused job go on", a.Jobs.Resume},
		{"cancel", "End a job: what is done stays done, the other items are not touched", a.Jobs.Cancel},
	} {
		httpserver.Handle(ops, admin.Secure(ops.API, a.Tokens, huma.Operation{
			OperationID: c.verb + "-job", Method: http.MethodPost, Path: "/v1/jobs/{id}/" + c.verb, Summary: c.summary, Tags: []string{"Jobs"},
			Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed},
		}), func(ctx context.Context, in *changeInput) (*jobOutput, error) {
			return a.change(ctx, c.verb, in, func(tx pgx.Tx) (Job, error) { return c.do(ctx, tx, in.ID, in.Revision()) })
		})
	}
}

func (a *API) registerReads(ops httpserver.Operations) {
	read := func(id, path, summary string, errors ...int) huma.Operation {
		op := huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"Jobs"}, Errors: errors}
		return admin.Reading(ops.API, a.Readers, a.Known, a.Masks != nil, op)
	}
	httpserver.Handle(ops, read("list-jobs", "/v1/jobs", "List jobs, newest first"), a.list)
	httpserver.Handle(ops, read("get-job", "/v1/jobs/{id}", "One job, and how far it is", http.StatusNotFound),
		func(ctx context.Context, in *JobID) (*jobOutput, error) {
			job, err := a.Jobs.Get(ctx, in.ID)
			return a.output(ctx, job), err
		})
	httpserver.Handle(ops, read("list-job-results", "/v1/jobs/{id}/results", "The items of a job in their order, with what came of each", http.StatusNotFound), a.results)
}

// JobID names a job. It is exported because huma fills in exported fields only, embedded ones too.
type JobID struct {
	ID int64 `path:"id" minimum:"1"`
}

type jobOutput struct {
	ETag string `header:"ETag"`
	Body Job
}

func (a *API) output(ctx context.Context, job Job) *jobOutput {
	job = job.Shown(a.Masks, admin.RoleOf(ctx))
	return &jobOutput{httpserver.ETag(strconv.Itoa(job.Revision)), job}
}

// Shown is a job as a role may see it.
func (j Job) Shown(masks *masking.Rules, role admin.Role) Job {
	j.Parameters = masks.Batch(role, j.Parameters).Bytes()
	return j
}

type listInput struct {
	State string          `query:"state" enum:"queued,running,paused,cancelled,finished,failed" doc:"Only these"`
	Kind  httpserver.Text `query:"kind" maxLength:"128" doc:"Only this kind, such as saga.retry"`
	httpserver.Page
}

// JobList is a page of jobs. Its name and those below are those of the OpenAPI document, of which
// there is one in each service.
type JobList struct {
	Jobs []Job  `json:"jobs" nullable:"false"`
	Next string `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
}

type listOutput struct {
	httpserver.Paged
	Body JobList
}

func (a *API) list(ctx context.Context, in *listInput) (*listOutput, error) {
	before, err := in.After()
	if err != nil {
		return nil, err
	}
	list, err := a.Jobs.List(ctx, Filter{State: State(in.State), Kind: string(in.Kind), Before: before, Limit: in.Fetch()})
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i] = list[i].Shown(a.Masks, admin.RoleOf(ctx))
	}
	out := &listOutput{}
	out.Body.Jobs, out.Body.Next, out.Paged = httpserver.Cut(ctx, in.Page, list, func(last Job) string { return httpserver.CursorOf(last.ID) })
	return out, nil
}

type resultsInput struct {
	JobID
	Result string `query:"result" enum:"done,no_effect,refused" doc:"Only items with this result"`
	httpserver.Page
}

// JobResults is a page of the items of a job.
type JobResults struct {
	Items []JobItem `json:"items" nullable:"false"`
	Next  string    `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
}

type resultsOutput struct {
	httpserver.Paged
	Body JobResults
}

func (a *API) results(ctx context.Context, in *resultsInput) (*resultsOutput, error) {
	after, err := in.After()
	if err != nil {
		return nil, err
	}
	if _, err := a.Jobs.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	items, err := a.Jobs.Results(ctx, in.ID, Outcome(in.Result), int(after), in.Fetch())
	if err != nil {
		return nil, err
	}
	out := &resultsOutput{}
	out.Body.Items, out.Body.Next, out.Paged = httpserver.Cut(ctx, in.Page, items, func(last JobItem) string { return httpserver.CursorOf(int64(last.N)) })
	return out, nil
}

type changeInput struct {
	JobID
	httpserver.IfMatch
	Body JobChange
}

// JobChange is why a job is paused, resumed or cancelled.
type JobChange struct {
	Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the audit log"`
}

// change does what an operator wants in one transaction with its record.
func (a *API) change(ctx context.Context, verb string, in *changeInput, do func(pgx.Tx) (Job, error)) (*jobOutput, error) {
	var job Job
	err := pgx.BeginFunc(ctx, a.Jobs.db, func(tx pgx.Tx) (err error) {
		before, err := one(ctx, tx, `select `+columns+` from job where id = $1 for update`, in.ID)
		if err != nil {
			return err
		}
		if job, err = do(tx); err != nil {
			return err
		}
		return auditlog.Append(ctx, tx, auditlog.Entry{
			Actor: admin.Actor(ctx), Client: admin.Client(ctx), Action: "job." + verb, Object: Object(in.ID), Reason: string(in.Body.Reason),
			Before: progress(before), After: progress(job), Result: string(job.State),
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%s a job: %w", verb, err)
	}
	a.Jobs.log.InfoContext(ctx, "operator changed a job", "job", in.ID, "action", verb, "actor", admin.Actor(ctx), "reason", in.Body.Reason)
	a.Jobs.Wake()
	return a.output(ctx, job), nil
}

// Object is how the audit log names a job.
func Object(id int64) string { return "job/" + strconv.FormatInt(id, 10) }

// progress is what the audit log keeps of a job.
func progress(j Job) map[string]any {
	return map[string]any{"state": j.State, "done": j.Done, "noEffect": j.NoEffect, "refused": j.Refused, "total": j.Total}
}
