package httpapi

import (
	"cmp"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/problem"
	"waybill.example/orders/order"
	"waybill.example/sdk/tracecontext"
)

// defaultReason is what a client sees who cancelled an order without saying why.
const defaultReason = "cancelled on request"

var cancelOperation = huma.Operation{
	OperationID: "cancel-order",
	Method:      http.MethodPost,
	Path:        "/v1/orders/{id}/cancel",
	Summary:     "Ask for an order to be cancelled",
	Description: "202: the request is durable, and the order's saga will act on it; the order is shown as it is now. " +
		"A CONFIRMED order is taken back if the request comes within the saga's window; if not, cancelRefused says so, " +
		"and from then on the answer is 409. Asking twice is the same as once. " +
		"200: the order is CANCELLED already, and stays as it is.",
	DefaultStatus: http.StatusAccepted,
	Errors:        []int{http.StatusNotFound, http.StatusConflict},
}

type cancelInput struct {
	PathID
	Traced
	httpserver.Keyed
	Body *Cancellation `required:"false"`
}

// Cancellation says why an order is to be cancelled.
type Cancellation struct {
	Reason text `json:"reason,omitempty" doc:"Why, at most 1,000 characters; shown with the order" example:"changed my mind"`
}

type cancelOutput struct {
	Status int
	Body   Order
}

func (a *api) cancel(ctx context.Context, in *cancelInput) (*cancelOutput, error) {
	number, err := in.number()
	if err != nil {
		return nil, err
	}
	var reason string
	if in.Body != nil {
		reason = string(in.Body.Reason)
	}
	found, err := a.Store.RequestCancel(ctx, order.Cancellation{
		OrderID: number, Reason: cmp.Or(reason, defaultReason),
		Key: in.IdempotencyKey, TraceParent: tracecontext.Parse(in.TraceParent),
	})
	if err != nil {
		return nil, err
	}
	if found.CancelRefused != "" && found.Status != order.Cancelled {
		return nil, httpserver.NewProblem(problem.CancellationRefused, "the order cannot be cancelled: "+found.CancelRefused)
	}
	out := &cancelOutput{Status: http.StatusAccepted, Body: toResponse(found)}
	if found.Status == order.Cancelled {
		out.Status = http.StatusOK
	}
	return out, nil
}
