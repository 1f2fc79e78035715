// Package httpapi is inventory's HTTP side: see what there is of each sku, set it after a delivery
// or a count, and look at the reservation of an order.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/problem"
	"waybill.example/inventory/stock"
)

// Store is where stock and reservations are kept. An error wraps [stock.ErrNotFound] where there is
// no such sku or reservation.
type Store interface {
	Level(ctx context.Context, sku string) (stock.Level, error)
	Levels(ctx context.Context, page stock.Page) ([]stock.Level, error)
	Change(ctx context.Context, c stock.Change) (stock.Changed, error)
	Movements(ctx context.Context, sku string, below int64, limit int) ([]stock.Movement, error)
	Holders(ctx context.Context, sku string, below int64, limit int) (held []stock.Holding, next int64, err error)
	Reservation(ctx context.Context, orderID int64) (stock.Reservation, error)
}

type api struct {
	store Store
	log   *slog.Logger
}

// Register adds the operations to an API. Where there are tokens, changes need one; where there are
// none, anybody may make them who reaches the API.
func Register(to huma.API, store Store, tokens admin.Tokens, log *slog.Logger) {
	a := &api{store, log}
	change := func(op huma.Operation) huma.Operation {
		op.Middlewares = append(op.Middlewares, from)
		if tokens.Empty() {
			return op
		}
		return admin.Secure(to, tokens, op)
	}
	operations := httpserver.Operations{API: to, Log: log, Answers: answers}
	httpserver.Handle(operations, listOperation, a.list)
	httpserver.Handle(operations, getOperation, a.get)
	httpserver.Handle(operations, change(setOperation), a.set)
	httpserver.Handle(operations, change(moveOperation), a.move)
	httpserver.Handle(operations, movementsOperation, a.movements)
	httpserver.Handle(operations, holdersOperation, a.holders)
	httpserver.Handle(operations, reservationOperation, a.reservation)
	documentCreated(to.OpenAPI())
}

var answers = []httpserver.Answer{
	{Err: stock.ErrNotFound, Type: problem.NotFound, Detail: "not found"},
	{
		Err: stock.ErrKeyReused, Type: problem.KeyReused, Location: "header.Idempotency-Key",
		Detail: "was used for another request; choose a new key for each request",
	},
	{Err: stock.ErrMoved, Type: problem.Changed, Detail: "the stock has changed since; GET it and look again"},
	{Err: stock.ErrTooFew, Type: problem.InsufficientStock}, // says how many, itself
	{Err: stock.ErrTooMany, Type: problem.TooMuchStock, Detail: stock.ErrTooMany.Error()},
}

// Level is how much there is of one sku.
type Level struct {
	SKU       string    `json:"sku" example:"burger"`
	OnHand    int64     `json:"onHand" doc:"What the next order can have"`
	Reserved  int64     `json:"reserved" doc:"What live reservations hold"`
	Received  int64     `json:"received" doc:"What was ever put in: onHand and reserved together"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func toResponse(l stock.Level) Level {
	return Level{SKU: l.SKU, OnHand: l.OnHand, Reserved: l.Reserved(), Received: l.Received, UpdatedAt: l.UpdatedAt.UTC()}
}

type levelOutput struct {
	ETag string `header:"ETag" doc:"What a change names in If-Match" example:"\"64f3a1b2c3d4e-5-5\""`
	Body Level
}

func etag(l stock.Level) string { return strconv.Quote(l.Tag()) }

var listOperation = huma.Operation{
	OperationID: "list-stock", Method: http.MethodGet, Path: "/v1/stock", Tags: []string{"Stock"},
	Summary: "List what there is, by sku", Description: "With `below`, only what runs low.",
}

type listInput struct {
	httpserver.Page
	Below int64 `query:"below" minimum:"1" maximum:"1000000000001" doc:"Only skus of which fewer are on hand" example:"10"`
}

type listOutput struct {
	httpserver.Paged
	Body struct {
		Stock []Level `json:"stock" nullable:"false"`
		Next  string  `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
	}
}

func (a *api) list(ctx context.Context, in *listInput) (*listOutput, error) {
	after, err := afterSKU(in.Cursor)
	if err != nil {
		return nil, err
	}
	levels, err := a.store.Levels(ctx, stock.Page{After: after, Limit: in.Fetch(), Below: in.Below})
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	levels, out.Body.Next, out.Paged = httpserver.Cut(ctx, in.Page, levels, func(last stock.Level) string { return httpserver.EncodeCursor(last.SKU) })
	out.Body.Stock = make([]Level, len(levels))
	for i, l := range levels {
		out.Body.Stock[i] = toResponse(l)
	}
	return out, nil
}

// afterSKU is the sku that a cursor names, "" for the first page.
func afterSKU(cursor string) (string, error) {
	fields, err := httpserver.DecodeCursor(cursor, 1)
	if fields == nil {
		return "", err
	}
	if stock.CheckSKU(fields[0]) != nil {
		return "", httpserver.InvalidCursor()
	}
	return fields[0], nil
}

// SKUPath is the sku in a path. It is exported for huma, which fills in embedded structs only then.
type SKUPath struct {
	SKU string `path:"sku" doc:"At most 128 bytes without control characters, percent-encoded"`
}

// Resolve implements huma.Resolver: it checks what a JSON Schema cannot say.
func (in *SKUPath) Resolve(huma.Context) []error {
	if err := stock.CheckSKU(in.SKU); err != nil {
		return []error{&huma.ErrorDetail{Location: "path.sku", Message: err.Error()}}
	}
	return nil
}

var getOperation = huma.Operation{
	OperationID: "get-stock", Method: http.MethodGet, Path: "/v1/stock/{sku}", Tags: []string{"Stock"},
	Summary: "What there is of one sku", Errors: []int{http.StatusNotFound},
}

func (a *api) get(ctx context.Context, in *SKUPath) (*levelOutput, error) {
	level, err := a.store.Level(ctx, in.SKU)
	if err != nil {
		return nil, err
	}
	return &levelOutput{ETag: etag(level), Body: toResponse(level)}, nil
}

// Reservation is what was decided for one order.
type Reservation struct {
	OrderID   int64     `json:"orderId"`
	SKU       string    `json:"sku,omitempty" doc:"Of an order of one line; absent, too, where the release came before the request"`
	Quantity  int32     `json:"quantity,omitempty"`
	Items     []Item    `json:"items,omitempty" nullable:"false" doc:"The lines of an order of several: all are reserved, or none"`
	State     string    `json:"state" enum:"RESERVED,REJECTED,RELEASED"`
	Reason    string    `json:"reason,omitempty" doc:"Why it was rejected"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// Item is one line of an order.
type Item struct {
	SKU      string `json:"sku" example:"burger"`
	Quantity int32  `json:"quantity" example:"2"`
}

func toReservation(r stock.Reservation) Reservation {
	out := Reservation{
		OrderID: r.OrderID, State: string(r.State), Reason: r.Reason, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if len(r.Lines) == 1 {
		out.SKU, out.Quantity = r.Lines[0].SKU, r.Lines[0].Quantity
		return out
	}
	for _, line := range r.Lines {
		out.Items = append(out.Items, Item{line.SKU, line.Quantity})
	}
	return out
}

var reservationOperation = huma.Operation{
	OperationID: "get-reservation", Method: http.MethodGet, Path: "/v1/reservations/{orderId}", Tags: []string{"Reservations"},
	Summary: "What was decided for one order", Errors: []int{http.StatusBadRequest, http.StatusNotFound},
}

type reservationInput struct {
	OrderID string `path:"orderId" example:"4711"`
}

type reservationOutput struct{ Body Reservation }

func (a *api) reservation(ctx context.Context, in *reservationInput) (*reservationOutput, error) {
	order, err := strconv.ParseInt(in.OrderID, 10, 64)
	if err != nil {
		return nil, huma.Error400BadRequest("an order id is a whole number")
	}
	r, err := a.store.Reservation(ctx, order)
	if err != nil {
		return nil, err
	}
	return &reservationOutput{toReservation(r)}, nil
}
