package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"waybill.example/chassis/httpserver"
	"waybill.example/inventory/stock"
)

func registerChanges(on huma.API, a *api) {
	operation := func(o huma.Operation) huma.Operation {
		o.Tags, o.Middlewares, o.MaxBodyBytes = []string{"Stock"}, within, httpserver.MaxBodyBytes
		o.RejectUnknownQueryParameters = true
		o.Errors = append(o.Errors, http.StatusBadRequest, http.StatusPreconditionFailed, http.StatusServiceUnavailable)
		return o
	}
	huma.Register(on, operation(huma.Operation{
		OperationID: "set-stock", Method: http.MethodPut, Path: "/v1/stock/{sku}",
		Summary: "Set what is on hand of one sku, which may be new",
		Description: "Sets the count of what the next order can have, after a stock-taking; what is reserved stays reserved. " +
			"What was reserved between the count and this request is sold twice: name the ETag that was counted from in If-Match, or post " +
			"a movement instead. After a 503 it may have been done: send it again with the same Idempotency-Key, and it is done once. " +
			"201: the sku is new.",
	}), a.set)
	huma.Register(on, operation(huma.Operation{
		OperationID: "move-stock", Method: http.MethodPost, Path: "/v1/stock/{sku}/movements",
		Summary: "Add what came in, or take away what went out",
		Description: "Changes what is on hand by a difference, whatever it is by then. After a 503 it may have been done: send it again with " +
			"the same Idempotency-Key, and it is done once. 409: fewer are on hand than are to be taken away.",
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}), a.move)
}

// Conditions are what a change of the stock may depend on. Exported for huma.
type Conditions struct {
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"255" pattern:"^[ -~]*$" patternDescription:"printable ASCII" doc:"Drawn by the client for each request, and kept for 24 hours: a request with a key that came before is not carried out again, and gets the same answer. With another body it is refused (422)." example:"8e03978e-40d5-43dd-bc93-6894a57f9324"`
	IfMatch        string `header:"If-Match" maxLength:"128" doc:"The ETag of the stock that was looked at: 412 if it has changed since"`
	IfNoneMatch    string `header:"If-None-Match" enum:"*" doc:"Only if the sku is new: 412 if it is not"`
}

// Resolve refuses a header that protects nothing although its client believes so: an empty one, and two.
func (*Conditions) Resolve(ctx huma.Context) []error {
	request, _ := humachi.Unwrap(ctx)
	keys := request.Header["Idempotency-Key"]
	if len(keys) == 0 || len(keys) == 1 && keys[0] != "" {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: "header.Idempotency-Key", Message: "expected one key, which is not empty"}}
}

func (c Conditions) change(sku string) stock.Change {
	return stock.Change{SKU: sku, Key: c.IdempotencyKey, IfMatch: strings.Trim(c.IfMatch, `"`), IfNew: c.IfNoneMatch != ""}
}

type setInput struct {
	SKUPath
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
	c := in.change(in.SKU)
	c.Count = &in.Body.OnHand
	return a.change(ctx, c)
}

type moveInput struct {
	SKUPath
	Conditions
	Body struct {
		Delta int64 `json:"delta" minimum:"-1000000000000" maximum:"1000000000000" example:"50" doc:"What came in; negative: what went out"`
	}
}

func (a *api) move(ctx context.Context, in *moveInput) (*changeOutput, error) {
	c := in.change(in.SKU)
	c.Delta = in.Body.Delta
	return a.change(ctx, c)
}

func (a *api) change(ctx context.Context, c stock.Change) (*changeOutput, error) {
	changed, err := a.store.Change(ctx, c)
	if err != nil {
		return nil, a.problem(err)
	}
	a.log.Info("stock changed", "sku", changed.SKU, "on_hand", changed.OnHand, "received", changed.Received)
	out := &changeOutput{Status: http.StatusOK, ETag: etag(changed.Level), Body: shown(changed.Level)}
	if changed.Created {
		out.Status = http.StatusCreated
	}
	return out, nil
}
