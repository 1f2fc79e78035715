package httpapi

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/outbox-relay/internal/ops"
)

// reason is the body of a change. It may be left out.
type reason struct {
	Reason httpserver.Text `json:"reason,omitzero" maxLength:"1000" doc:"Why, for the audit."`
}

func (r *reason) why() httpserver.Text {
	if r == nil {
		return ""
	}
	return r.Reason
}

// reasonedStuck is a change of stuck rows of a database.
type reasonedStuck struct {
	Target
	Topic     httpserver.Text `query:"topic" maxLength:"249" doc:"Only those of this topic."`
	ErrorCode httpserver.Text `query:"errorCode" maxLength:"200" doc:"Only those that were refused with this error, as the groups have it."`
	Body      *reason
}

// reasonedState is a change of what has an ETag.
type reasonedState struct {
	Target
	httpserver.IfMatch
	Body *reason
}

// reasonedRow is a change of a row.
type reasonedRow struct {
	RowTarget
	httpserver.IfMatch
	Body *reason
}

type changed struct {
	Changed bool `json:"changed" doc:"False if it was so already."`
}

func (a *API) registerRows() {
	httpserver.Handle(a.operations, a.changing(huma.Operation{
		OperationID: "retry-row", Path: "/v1/outbox/{database}/rows/{id}/retry", Summary: "Try a stuck row now",
	}), func(ctx context.Context, r *reasonedRow) (*answer[ops.Outcome], error) {
		return on(a, r.Database, func(d *ops.Database) (ops.Outcome, error) {
			return d.Retry(ctx, having(ctx, r.Body.why(), r.Seen()), r.ID)
		})
	})
	httpserver.Handle(a.operations, a.changing(admin.For(admin.Admin, huma.Operation{
		OperationID: "retry-stuck", Path: "/v1/outbox/{database}/stuck/retry", Summary: "Try every stuck row now, or those of a topic or an error",
	})), func(ctx context.Context, r *reasonedStuck) (*answer[ops.Retried], error) {
		return on(a, r.Database, func(d *ops.Database) (ops.Retried, error) {
			return d.RetryAll(ctx, by(ctx, r.Body.why()), ops.StuckFilter{Topic: string(r.Topic), ErrorCode: string(r.ErrorCode)})
		})
	})
	httpserver.Handle(a.operations, a.changing(huma.Operation{
		OperationID: "discard-row", Path: "/v1/outbox/{database}/rows/{id}/discard", Summary: "Give a stuck row up; needs a reason",
	}), func(ctx context.Context, r *reasonedRow) (*answer[ops.Outcome], error) {
		return on(a, r.Database, func(d *ops.Database) (ops.Outcome, error) {
			return d.Discard(ctx, having(ctx, r.Body.why(), r.Seen()), r.ID)
		})
	})
	httpserver.Handle(a.operations, a.changing(huma.Operation{
		OperationID: "pause-database", Path: "/v1/outbox/{database}/pause", Summary: "Publish nothing more until resume",
	}), func(ctx context.Context, r *reasonedState) (*answer[changed], error) {
		return on(a, r.Database, func(d *ops.Database) (changed, error) {
			did, err := d.Pause(ctx, having(ctx, r.Body.why(), r.Seen()))
			return changed{did}, err
		})
	})
	httpserver.Handle(a.operations, a.changing(huma.Operation{
		OperationID: "resume-database", Path: "/v1/outbox/{database}/resume", Summary: "End a pause",
	}), func(ctx context.Context, r *reasonedState) (*answer[changed], error) {
		return on(a, r.Database, func(d *ops.Database) (changed, error) {
			did, err := d.Resume(ctx, having(ctx, r.Body.why(), r.Seen()))
			return changed{did}, err
		})
	})
}

// having says who makes the request of ctx, after having seen a version.
func having(ctx context.Context, reason httpserver.Text, seen string) ops.By {
	who := by(ctx, reason)
	who.Seen = seen
	return who
}

// by says who makes the request of ctx.
func by(ctx context.Context, reason httpserver.Text) ops.By {
	return ops.By{Actor: admin.Actor(ctx), Client: admin.Client(ctx), Reason: string(reason)}
}
