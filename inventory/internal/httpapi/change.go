package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/inventory/stock"
)

var setOperation = huma.Operation{
	OperationID: "set-stock", Method: http.MethodPut, Path: "/v1/stock/{sku}", Tags: []string{"Stock"},
	Summary: "Set what is on hand of one sku, which may be new",
	Description: "Sets the count of what the next order can have, after a stock-taking; what is reserved stays reserved. " +
		"What was reserved between the count and this request is sold twice: name the ETag that was counted from in If-Match, or post " +
		"a movement instead. After a 503 it may have been done: send it again with the same Idempotency-Key, and it is done once. " +
		"201: the sku is new.",
	Errors: []int{http.StatusPreconditionFailed},
}

var moveOperation = huma.Operation{
	OperationID: "move-stock", Method: http.MethodPost, Path: "/v1/stock/{sku}/movements", Tags: []string{"Stock"},
	Summary: "Add what came in, or take away what went out",
	Description: "Changes what is on hand by a difference, whatever it is by then. After a 503 it may have been done: send it again with " +
		"the same Idempotency-Key, and it is done once. 409: fewer are on hand than are to be taken away.",
	Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed},
}

// Conditions are what a change of the stock may depend on. Exported for huma.
type Conditions struct {
	IfMatch     string `header:"If-Match" maxLength:"128" doc:"The ETag of the stock that was looked at: 412 if it has changed since"`
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"Only if the sku is new: 412 if it is not"`
}

func (c Conditions) change(sku, key string) stock.Change {
	return stock.Change{SKU: sku, Key: key, IfMatch: strings.Trim(c.IfMatch, `"`), IfNew: c.IfNoneMatch != ""}
}

type setInput struct {
	SKUPath
	httpserver.Keyed
	Conditions
	Body struct {
		OnHand int64 `json:"onHand" minimum:"0" maximum:"1000000000000" example:"100" doc:"What the next order can have"`
	}
}

type changeOutput struct {
	Status int
	ETag   string `header:"ETag" doc:"What the next change names in If-Match"`
	Body   Level
}

func (a *api) set(ctx context.Context, in *setInput) (*changeOutput, error) {
	c := in.change(in.SKU, in.IdempotencyKey)
	c.Count = &in.Body.OnHand
	return a.change(ctx, c)
}

type moveInput struct {
	SKUPath
	httpserver.Keyed
	Conditions
	Body struct {
		Delta int64 `json:"delta" minimum:"-1000000000000" maximum:"1000000000000" example:"50" doc:"What came in; negative: what went out"`
	}
}

func (a *api) move(ctx context.Context, in *moveInput) (*changeOutput, error) {
	c := in.change(in.SKU, in.IdempotencyKey)
	c.Delta = in.Body.Delta
	return a.change(ctx, c)
}

func (a *api) change(ctx context.Context, c stock.Change) (*changeOutput, error) {
	changed, err := a.store.Change(ctx, c)
	if err != nil {
		return nil, err
	}
	a.log.Info("stock changed", "sku", changed.SKU, "on_hand", changed.OnHand, "received", changed.Received)
	out := &changeOutput{Status: http.StatusOK, ETag: etag(changed.Level), Body: toResponse(changed.Level)}
	if changed.Created {
		out.Status = http.StatusCreated
	}
	return out, nil
}
