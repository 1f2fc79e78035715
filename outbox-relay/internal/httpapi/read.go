package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/auditlog"
	"waybill.example/chassis/httpserver"
	"waybill.example/outbox-relay/internal/ops"
)

type overviews struct {
	Databases []ops.Overview `json:"databases"`
	// Unreachable names the databases that did not answer.
	Unreachable []string `json:"unreachable"`
}

// RowTarget names a row.
type RowTarget struct {
	Target
	ID int64 `path:"id" minimum:"1" doc:"The id of the outbox row."`
}

type gapsRequest struct {
	Target
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most ranges of ids to return."`
}

type auditLogRequest struct {
	Target
	Actor  httpserver.Text `query:"actor" maxLength:"200" doc:"Only entries of this actor."`
	Action httpserver.Text `query:"action" maxLength:"100" doc:"Only entries of this action, as outbox.retry."`
	Object httpserver.Text `query:"object" maxLength:"500" doc:"Only entries of this object, as saga/order/4711."`
	Since  time.Time       `query:"since" doc:"Only entries of this time or later."`
	Until  time.Time       `query:"until" doc:"Only entries before this time."`
	After  int64           `query:"after" minimum:"0" doc:"Only entries with a higher number."`
	Before int64           `query:"before" minimum:"0" doc:"Only entries with a lower number; 0: all."`
	Order  string          `query:"order" enum:"newest,oldest" default:"newest" doc:"Which entries come first."`
	Limit  int             `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most entries to return."`
}

func (r *auditLogRequest) filter() auditlog.Filter {
	return auditlog.Filter{
		Actor: string(r.Actor), Action: string(r.Action), Object: string(r.Object), Since: r.Since, Until: r.Until,
		After: r.After, Before: r.Before, Oldest: r.Order == "oldest", Limit: r.Limit,
	}
}

func (a *API) registerReading() {
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "overview", Method: http.MethodGet, Path: "/v1/outbox", Summary: "Every database at a glance",
	}, func(ctx context.Context, _ *struct{}) (*answer[overviews], error) {
		all := overviews{Databases: []ops.Overview{}, Unreachable: []string{}}
		for _, d := range a.Databases {
			overview, err := d.Overview(ctx)
			if err != nil {
				a.Log.WarnContext(ctx, "request failed", "error", err)
				all.Unreachable = append(all.Unreachable, d.Name)
				continue
			}
			all.Databases = append(all.Databases, overview)
		}
		return answered(all, nil)
	})
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-pending", Method: http.MethodGet, Path: "/v1/outbox/{database}/pending", Summary: "Rows that wait to be published",
	}, func(ctx context.Context, r *Page) (*answer[[]ops.RowSummary], error) {
		return on(a, r.Database, func(d *ops.Database) ([]ops.RowSummary, error) { return d.Pending(ctx, r.After, r.Limit) })
	})
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-stuck", Method: http.MethodGet, Path: "/v1/outbox/{database}/stuck", Summary: "Rows that the broker refuses",
	}, func(ctx context.Context, r *Page) (*answer[[]ops.StuckRow], error) {
		return on(a, r.Database, func(d *ops.Database) ([]ops.StuckRow, error) { return d.Stuck(ctx, r.After, r.Limit) })
	})
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-gaps", Method: http.MethodGet, Path: "/v1/outbox/{database}/gaps",
		Summary: "Ids that are missing, and the transactions that may still fill them",
	}, func(ctx context.Context, r *gapsRequest) (*answer[ops.Gaps], error) {
		return on(a, r.Database, func(d *ops.Database) (ops.Gaps, error) { return d.Gaps(ctx, r.Limit) })
	})
	httpserver.Handle(a.operations, a.revealing(huma.Operation{
		OperationID: "show-row", Method: http.MethodGet, Path: "/v1/outbox/{database}/rows/{id}", Summary: "All there is to know about one row",
		Errors: []int{http.StatusNotFound},
	}), func(ctx context.Context, r *RowTarget) (*answer[ops.Row], error) {
		return on(a, r.Database, func(d *ops.Database) (ops.Row, error) { return d.Row(ctx, r.ID) })
	})
	httpserver.Handle(a.operations, a.revealing(huma.Operation{
		OperationID: "list-audit-log", Method: http.MethodGet, Path: "/v1/outbox/{database}/audit-log",
		Summary: "Who changed what in the database, through the relay or its service",
	}), func(ctx context.Context, r *auditLogRequest) (*answer[[]auditlog.Record], error) {
		return on(a, r.Database, func(d *ops.Database) ([]auditlog.Record, error) { return d.AuditLog(ctx, r.filter()) })
	})
}
