package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
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

// row is a row with what a change of it names in If-Match. Its tag is no ETag field, for which
// [httpserver.Handle] would answer 304: more than the tag's attempts can change.
type row struct {
	Version string `header:"ETag" doc:"What a retry or discard names in If-Match" example:"\"stuck-3\""`
	Body    ops.Row
}

// pause is whether a database is paused.
type pause struct {
	ETag string `header:"ETag" doc:"What pause and resume name in If-Match" example:"\"running\""`
	Body ops.Pause
}

type gapsRequest struct {
	Target
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"The most ranges of ids to return."`
}

type auditLogRequest struct {
	Target
	httpserver.Page
	Actor  httpserver.Text `query:"actor" maxLength:"200" doc:"Only entries of this actor."`
	Action httpserver.Text `query:"action" maxLength:"100" doc:"Only entries of this action, as outbox.retry."`
	Object httpserver.Text `query:"object" maxLength:"500" doc:"Only entries of this object, as saga/order/4711."`
	Since  time.Time       `query:"since" doc:"Only entries of this time or later."`
	Until  time.Time       `query:"until" doc:"Only entries before this time."`
	After  int64           `query:"after" minimum:"0" doc:"Only entries with a higher number."`
	Before int64           `query:"before" minimum:"0" doc:"Only entries with a lower number; 0: all."`
	Order  string          `query:"order" enum:"newest,oldest" default:"newest" doc:"Which entries come first."`
}

// filter chooses the entries of a page, and one more.
func (r *auditLogRequest) filter() (auditlog.Filter, error) {
	f := auditlog.Filter{
		Actor: string(r.Actor), Action: string(r.Action), Object: string(r.Object), Since: r.Since, Until: r.Until,
		After: r.After, Before: r.Before, Oldest: r.Order == "oldest", Limit: r.Fetch(),
	}
	last, err := r.Page.After()
	switch {
	case last == 0:
	case f.Oldest:
		f.After = max(f.After, last)
	case f.Before == 0 || last < f.Before:
		f.Before = last
	}
	return f, err
}

func (a *API) registerReading() {
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-databases", Method: http.MethodGet, Path: "/v1/outbox", Summary: "Every database at a glance",
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
		OperationID: "get-pause", Method: http.MethodGet, Path: "/v1/outbox/{database}/pause", Summary: "Whether the database is paused",
		Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, r *Target) (*pause, error) {
		d, err := a.database(r.Database)
		if err != nil {
			return nil, err
		}
		now, err := d.Paused(ctx)
		return &pause{httpserver.ETag(now.Version()), now}, err
	})
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-pending", Method: http.MethodGet, Path: "/v1/outbox/{database}/pending", Errors: []int{http.StatusNotFound}, Summary: "Rows that wait to be published",
	}, func(ctx context.Context, r *listRequest) (*page[ops.RowSummary], error) {
		return list(ctx, a, r, func(row ops.RowSummary) int64 { return row.ID }, func(d *ops.Database, from int64, limit int) ([]ops.RowSummary, error) {
			return d.Pending(ctx, from, limit)
		})
	})
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-stuck", Method: http.MethodGet, Path: "/v1/outbox/{database}/stuck", Errors: []int{http.StatusNotFound}, Summary: "Rows that the broker refuses",
	}, func(ctx context.Context, r *listRequest) (*page[ops.StuckRow], error) {
		return list(ctx, a, r, func(row ops.StuckRow) int64 { return row.ID }, func(d *ops.Database, from int64, limit int) ([]ops.StuckRow, error) {
			return d.Stuck(ctx, from, limit)
		})
	})
	a.registerQueues()
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-gaps", Method: http.MethodGet, Path: "/v1/outbox/{database}/gaps", Errors: []int{http.StatusNotFound},
		Summary: "Ids that are missing, and the transactions that may still fill them",
	}, func(ctx context.Context, r *gapsRequest) (*answer[ops.Gaps], error) {
		return on(a, r.Database, func(d *ops.Database) (ops.Gaps, error) { return d.Gaps(ctx, r.Limit) })
	})
	httpserver.Handle(a.operations, a.revealing(huma.Operation{
		OperationID: "get-row", Method: http.MethodGet, Path: "/v1/outbox/{database}/rows/{id}", Summary: "All there is to know about one row",
		Errors: []int{http.StatusNotFound},
	}), func(ctx context.Context, r *RowTarget) (*row, error) {
		d, err := a.database(r.Database)
		if err != nil {
			return nil, err
		}
		found, err := d.Row(ctx, r.ID)
		found.Show(a.Masks, admin.RoleOf(ctx))
		return &row{httpserver.ETag(found.Version()), found}, err
	})
	httpserver.Handle(a.operations, a.revealing(huma.Operation{
		OperationID: "list-audit-log", Method: http.MethodGet, Path: "/v1/outbox/{database}/audit-log", Errors: []int{http.StatusNotFound},
		Summary: "Who changed what in the database, through the relay or its service",
	}), a.auditLog)
}

func (a *API) auditLog(ctx context.Context, r *auditLogRequest) (*page[auditlog.Record], error) {
	filter, err := r.filter()
	if err != nil {
		return nil, err
	}
	d, err := a.database(r.Database)
	if err != nil {
		return nil, err
	}
	records, err := d.AuditLog(ctx, filter)
	if err != nil {
		return nil, err
	}
	for i := range records {
		records[i] = a.masked(ctx, records[i])
	}
	return paged(ctx, r.Page, records, func(record auditlog.Record) int64 { return record.Seq }), nil
}

// masked is an entry of an audit log as who asks may see it.
func (a *API) masked(ctx context.Context, record auditlog.Record) auditlog.Record {
	for _, document := range []*json.RawMessage{&record.Before, &record.After} {
		view := a.Masks.Audited(admin.RoleOf(ctx), record.Action, record.Object, *document)
		*document, record.Masked = view.Bytes(), record.Masked || view.Hides()
	}
	return record
}
