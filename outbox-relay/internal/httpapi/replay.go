package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/outbox-relay/internal/source"
)

type replayRequest struct {
	Target
	Body struct {
		source.Selection
		Topic  *string         `json:"topic,omitzero" minLength:"1" maxLength:"249" doc:"Where to send; by default where each row went."`
		Rate   int             `json:"rate,omitzero" minimum:"1" maximum:"1000000" default:"5000" doc:"Rows a second at most."`
		Yes    bool            `json:"yes,omitzero" doc:"Do it. Without, the answer only says what it would do."`
		Reason httpserver.Text `json:"reason,omitzero" maxLength:"1000" doc:"Why, for the audit. Required with yes."`
	}
}

// replayed is a plan, or the job that carries it out.
type replayed struct {
	Plan *ops.Plan `json:"plan,omitzero" doc:"What the replay would do."`
	Job  *ops.Job  `json:"job,omitzero" doc:"The job that does it."`
}

// JobTarget names a replay.
type JobTarget struct {
	Target
	ID int64 `path:"id" minimum:"1" doc:"The replay's number."`
}

type jobChange struct {
	JobTarget
	Body *reason
}

func (a *API) registerReplays() {
	httpserver.Handle(a.operations, a.changing(admin.For(admin.Admin, huma.Operation{
		OperationID: "start-replay", Path: "/v1/outbox/{database}/replays", Summary: "Send published rows again, or say what that would do",
	})), func(ctx context.Context, r *replayRequest) (*answer[replayed], error) {
		return on(a, r.Database, func(d *ops.Database) (replayed, error) { return a.replay(ctx, d, r) })
	})
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-replays", Method: http.MethodGet, Path: "/v1/outbox/{database}/replays", Errors: []int{http.StatusNotFound}, Summary: "Replays, newest first",
	}, func(ctx context.Context, r *listRequest) (*page[ops.Job], error) {
		return list(ctx, a, r, func(j ops.Job) int64 { return j.ID }, func(d *ops.Database, from int64, limit int) ([]ops.Job, error) {
			return d.Jobs(ctx, from, limit)
		})
	})
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "get-replay", Method: http.MethodGet, Path: "/v1/outbox/{database}/replays/{id}", Summary: "How far a replay is",
		Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, r *JobTarget) (*answer[ops.Job], error) {
		return on(a, r.Database, func(d *ops.Database) (ops.Job, error) { return d.Job(ctx, r.ID) })
	})
	httpserver.Handle(a.operations, a.changing(huma.Operation{
		OperationID: "cancel-replay", Path: "/v1/outbox/{database}/replays/{id}/cancel", Summary: "End a replay",
	}), func(ctx context.Context, r *jobChange) (*answer[ops.Job], error) {
		return on(a, r.Database, func(d *ops.Database) (ops.Job, error) { return d.CancelReplay(ctx, by(ctx, r.Body.why()), r.ID) })
	})
}

func (a *API) replay(ctx context.Context, d *ops.Database, r *replayRequest) (replayed, error) {
	if !r.Body.Yes {
		plan, err := d.PlanReplay(ctx, r.Body.Selection, r.Body.Topic, a.Databases)
		return replayed{Plan: &plan}, err
	}
	job, err := d.StartReplay(ctx, by(ctx, r.Body.Reason), r.Body.Selection, r.Body.Topic, r.Body.Rate)
	return replayed{Job: &job}, err
}
