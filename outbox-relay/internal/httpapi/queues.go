package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/outbox-relay/internal/ops"
)

// maxGroups is how many groups of stuck rows there are in an answer.
const maxGroups = 200

type stuckGroups struct {
	Groups []ops.StuckGroup `json:"groups" nullable:"false" doc:"The largest first; 200 at most."`
}

type parkedRequest struct {
	Target
	httpserver.Page
	Behind int64 `query:"behind" minimum:"1" doc:"Only those that wait for this stuck row."`
}

// registerQueues adds the looks at what is in an outbox as a whole: stuck rows by their error, what
// waits behind them, and the newest rows.
func (a *API) registerQueues() {
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "group-stuck", Method: http.MethodGet, Path: "/v1/outbox/{database}/stuck/groups", Errors: []int{http.StatusNotFound},
		Summary: "Rows that the broker refuses by topic and error",
	}, func(ctx context.Context, r *Target) (*answer[stuckGroups], error) {
		return on(a, r.Database, func(d *ops.Database) (stuckGroups, error) {
			groups, err := d.StuckGroups(ctx, maxGroups)
			return stuckGroups{append([]ops.StuckGroup{}, groups...)}, err
		})
	})
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-parked", Method: http.MethodGet, Path: "/v1/outbox/{database}/parked", Errors: []int{http.StatusNotFound},
		Summary: "Rows that wait for a stuck one of their key or topic",
	}, func(ctx context.Context, r *parkedRequest) (*page[ops.ParkedRow], error) {
		return list(ctx, a, &listRequest{r.Target, r.Page}, func(row ops.ParkedRow) int64 { return row.ID }, func(d *ops.Database, from int64, limit int) ([]ops.ParkedRow, error) {
			return d.Parked(ctx, r.Behind, from, limit)
		})
	})
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-rows", Method: http.MethodGet, Path: "/v1/outbox/{database}/rows", Errors: []int{http.StatusNotFound},
		Summary: "The newest rows, and what became of them",
	}, func(ctx context.Context, r *listRequest) (*page[ops.RowStatus], error) {
		return list(ctx, a, r, func(row ops.RowStatus) int64 { return row.ID }, func(d *ops.Database, from int64, limit int) ([]ops.RowStatus, error) {
			return d.Latest(ctx, from, limit)
		})
	})
}
