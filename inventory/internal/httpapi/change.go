package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/terminal"
	"waybill.example/inventory/stock"
)

var setOperation = huma.Operation{
	OperationID: "set-stock", Method: http.MethodPut, Path: "/v1/stock/{sku}", Tags: []string{"Stock"},
	Summary: "Set what is on hand of one sku, which may be new",
	Description: "Sets what the next order can have; what is reserved stays reserved. What was reserved since the number was " +
		"looked up is sold twice: name the ETag that was seen in If-Match, or post a movement instead. After a 503 it may have " +
		"been done: send it again with the same Idempotency-Key, and it is done once. 201: the sku is new.",
	Errors: []int{http.StatusPreconditionFailed},
}

// documentCreated adds the other success to the document: huma knows of one.
func documentCreated(document *huma.OpenAPI) {
	responses := document.Paths[setOperation.Path].Put.Responses
	created := *responses["200"]
	created.Description = "The sku is new"
	responses["201"] = &created
}

var moveOperation = huma.Operation{
	OperationID: "move-stock", Method: http.MethodPost, Path: "/v1/stock/{sku}/movements", Tags: []string{"Stock"},
	Summary: "Add what came in, take away what went out, or say what was counted",
	Description: "`delta` changes what is on hand by a difference, whatever it is by then. `counted` is what is on the shelf, with what is " +
		"reserved: on hand is then what was counted less what is reserved at that moment. Neither depends on what is reserved " +
		"meanwhile; to have it depend on nobody else having changed the stock, name the ETag of the movements in If-Match. After a " +
		"503 it may have been done: send it again with the same Idempotency-Key, and it is done once. 409: there are fewer than " +
		"are to be taken away, or than are reserved.",
	Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed},
}

// Conditions are what a change of the stock may depend on. Exported for huma.
type Conditions struct {
	httpserver.IfMatch
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"Only if the sku is new: 412 if it is not"`
}

type setInput struct {
	SKUPath
	httpserver.Keyed
	Conditions
	Body struct {
		OnHand int64             `json:"onHand" minimum:"0" maximum:"1000000000000" example:"100" doc:"What the next order can have"`
		Reason httpserver.Reason `json:"reason,omitempty" minLength:"1" maxLength:"500" doc:"Why; kept in the log" example:"first delivery"`
	}
}

type moveInput struct {
	SKUPath
	httpserver.Keyed
	Conditions
	Body Draft
}

// Draft is a movement that is asked for: a difference, or a count.
type Draft struct {
	Delta   *int64            `json:"delta,omitempty" minimum:"-1000000000000" maximum:"1000000000000" example:"50" doc:"What came in; negative: what went out"`
	Counted *int64            `json:"counted,omitempty" minimum:"0" maximum:"1000000000000" doc:"What is on the shelf, with what is reserved; in place of delta"`
	Reason  httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the log" example:"delivery 4711"`
}

// Resolve implements [huma.ResolverWithPath]: it finds what a JSON Schema says badly.
func (d *Draft) Resolve(_ huma.Context, at *huma.PathBuffer) (problems []error) {
	problem := func(field, message string) {
		problems = append(problems, &huma.ErrorDetail{Location: at.With(field), Message: message})
	}
	switch {
	case (d.Delta == nil) == (d.Counted == nil):
		problem("delta", "expected either delta or counted")
	case d.Delta != nil && *d.Delta == 0:
		problem("delta", "a movement of nothing; expected a number other than 0")
	}
	if err := stock.CheckReason(string(d.Reason)); err != nil && d.Reason != "" {
		problem("reason", err.Error())
	}
	return problems
}

type changeOutput struct {
	Status          int
	ETag            string `header:"ETag" doc:"The stock's, for the If-Match of a PUT"`
	Location        string `header:"Location" doc:"Of a new sku"`
	ContentLocation string `header:"Content-Location" doc:"What the answer shows"`
	Body            Changed
}

// Changed is a level, and the movement that made it so.
type Changed struct {
	Level
	Movement Movement `json:"movement" doc:"The change, as it is in the log"`
}

func (a *api) set(ctx context.Context, in *setInput) (*changeOutput, error) {
	return a.change(ctx, in.Conditions, stock.Change{
		SKU: in.SKU, Key: in.IdempotencyKey, Kind: stock.KindSet, Amount: in.Body.OnHand, Reason: string(in.Body.Reason),
	})
}

func (a *api) move(ctx context.Context, in *moveInput) (*changeOutput, error) {
	c := stock.Change{SKU: in.SKU, Key: in.IdempotencyKey, Reason: string(in.Body.Reason)}
	if in.Body.Counted != nil {
		c.Kind, c.Amount = stock.KindCount, *in.Body.Counted
	} else {
		c.Kind, c.Amount = stock.KindMove, *in.Body.Delta
	}
	return a.change(ctx, in.Conditions, c)
}

func (a *api) change(ctx context.Context, on Conditions, c stock.Change) (*changeOutput, error) {
	c.IfMatch, c.IfExists, c.IfNew = on.Seen(), on.Any(), on.IfNoneMatch != ""
	c.Origin = origin(ctx)
	changed, err := a.store.Change(ctx, c)
	if impossible, ok := errors.AsType[stock.Impossible](err); ok {
		return nil, impossible // in its own words, without those of the log
	}
	if err != nil {
		return nil, err
	}
	a.log.InfoContext(ctx, "stock changed", "sku", changed.SKU, "kind", c.Kind, "delta", changed.Movement.Delta,
		"on_hand", changed.OnHand, "received", changed.Received, "actor", c.Actor, "client", c.Client)
	path := pathOf(changed.SKU)
	out := &changeOutput{
		Status: http.StatusOK, ETag: etag(changed.Level), ContentLocation: path,
		Body: Changed{toResponse(changed.Level), toMovement(changed.Movement)},
	}
	if changed.Created {
		out.Status, out.Location = http.StatusCreated, path
	}
	return out, nil
}

// pathOf is where the stock of a sku is. Clients resolve dots that are not escaped.
func pathOf(sku string) string {
	return "/v1/stock/" + strings.ReplaceAll(url.PathEscape(sku), ".", "%2E")
}

// anonymous is who changes the stock without a token.
const anonymous = "anonymous"

type clientKey struct{}

// from is the middleware of a change: it notes where the request comes from.
func from(ctx huma.Context, next func(huma.Context)) {
	host, _, err := net.SplitHostPort(ctx.RemoteAddr())
	if err != nil {
		host = ctx.RemoteAddr()
	}
	client := strings.TrimSpace(host + " " + ctx.Header("User-Agent"))
	next(huma.WithValue(ctx, clientKey{}, cut(terminal.Clean(client))))
}

// cut shortens what a client says of itself.
func cut(client string) string {
	const most = 200
	if len(client) <= most {
		return client
	}
	return strings.ToValidUTF8(client[:most], "") + "…"
}

func origin(ctx context.Context) stock.Origin {
	client, _ := ctx.Value(clientKey{}).(string)
	o := stock.Origin{Actor: admin.Actor(ctx), Client: client}
	if o.Actor == "" {
		o.Actor = anonymous
	}
	return o
}
