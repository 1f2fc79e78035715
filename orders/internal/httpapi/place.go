package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/orders/order"
	"waybill.example/sdk/tracecontext"
)

var placeOperation = huma.Operation{
	OperationID: "place-order",
	Method:      http.MethodPost,
	Path:        "/v1/orders",
	Summary:     "Place an order",
	Description: "Accepts an order, which is PENDING until its saga confirms or cancels it. The answer is sent " +
		"once the order and the message that starts its saga are durable; whether Kafka is up does not matter. " +
		"After a 503, or no answer, the order may have been stored or not: send the request again with the same " +
		"Idempotency-Key, and there is one order. With `Prefer: wait=N` the answer is the order: 200 once it is CONFIRMED or " +
		"CANCELLED, 202 after a wait in which it was not.",
	DefaultStatus: http.StatusAccepted,
	Errors:        []int{http.StatusTooManyRequests},
}

type placeInput struct {
	Traced
	httpserver.Keyed
	httpserver.Preferences
	Body Draft
}

// Draft is an order to be placed.
type Draft struct {
	UserID   name   `json:"userId" doc:"Who orders; at most 128 bytes" example:"u1"`
	SKU      *name  `json:"sku,omitempty" nullable:"false" doc:"What is ordered; at most 128 bytes" example:"burger"`
	Quantity *int32 `json:"quantity,omitempty" nullable:"false" minimum:"1" maximum:"1000000" doc:"How many" example:"2"`
	Items    []Item `json:"items,omitempty" nullable:"false" minItems:"1" maxItems:"100" doc:"In place of sku and quantity: several lines, each of another sku. All are reserved, or none"`
	Note     text   `json:"note,omitempty" doc:"A remark, kept with the order; at most 1,000 characters" example:"kafka test"`
}

type placeOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where the order is" example:"/v1/orders/1"`
	Applied
	httpserver.Quota
	Body any
}

// Accepted is the answer to an order that was accepted.
type Accepted struct {
	ID int64 `json:"id" doc:"The order's id" example:"1"`
}

func (a *api) place(ctx context.Context, in *placeInput) (*placeOutput, error) {
	left, err := a.admit(string(in.Body.UserID))
	if err != nil {
		return nil, err
	}
	placed, err := a.Place(ctx, order.Request{
		Draft:       order.Draft{UserID: string(in.Body.UserID), Note: string(in.Body.Note)}.Of(in.Body.lines()),
		Key:         in.IdempotencyKey,
		TraceParent: tracecontext.Parse(in.TraceParent),
	})
	if err := cmp.Or(err, placed.Err); err != nil {
		return nil, err
	}
	a.Log.DebugContext(ctx, "order accepted", "order_id", placed.ID, "user_id", string(in.Body.UserID))
	out := &placeOutput{Status: http.StatusAccepted, Location: "/v1/orders/" + strconv.FormatInt(placed.ID, 10), Body: Accepted{placed.ID}, Quota: left}
	if !in.Waits() {
		return out, nil
	}
	return a.outcome(ctx, in, placed.ID, out), nil
}

// admit decides whether an order may be placed now, and says what its user has left.
func (a *api) admit(userID string) (left httpserver.Quota, err error) {
	if a.Backlog != nil && a.Backlog.Exceeded() {
		return left, httpserver.Unavailable("too many orders wait to be sent on, and this one was not stored; send it again later")
	}
	if a.Rates == nil {
		return left, nil
	}
	return a.Rates.Take(userID, time.Now())
}

// outcome waits for what becomes of an order that was placed. That it was is known already: where
// the order cannot be read, the answer is as if nobody had waited.
func (a *api) outcome(ctx context.Context, in *placeInput, id int64, out *placeOutput) *placeOutput {
	found, applied, err := a.await(ctx, &in.Preferences, id)
	if err != nil || applied.PreferenceApplied == "" {
		return out
	}
	out.Applied, out.Body = applied, toResponse(found)
	if found.Terminal() {
		out.Status = http.StatusOK
	}
	return out
}
