package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

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
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/v1/outbox/{database}/audit", Summary: "Who changed what, newest first",
	}, func(ctx context.Context, r *Page) (*answer[[]ops.AuditEntry], error) {
		return on(a, r.Database, func(d *ops.Database) ([]ops.AuditEntry, error) { return d.Audit(ctx, r.After, r.Limit) })
	})
}
