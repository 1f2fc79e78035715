// Package httpapi is inventory's HTTP side: see what there is of each sku, set it after a delivery
// or a count, and look at the reservation of an order.
package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill/chassis/httpserver"
	chassispg "waybill/chassis/postgres"
	"waybill/inventory/stock"
)

// Store is where stock and reservations are kept. An error wraps [stock.ErrNotFound] where there is
// no such sku or reservation.
type Store interface {
	Level(ctx context.Context, sku string) (stock.Level, error)
	Levels(ctx context.Context, after string, limit int) ([]stock.Level, error)
	SetOnHand(ctx context.Context, sku string, onHand int64) (stock.Level, error)
	Reservation(ctx context.Context, orderID int64) (stock.Reservation, error)
}

type api struct {
	store Store
	log   *slog.Logger
}

// Register adds the operations to a server's API.
func Register(on huma.API, store Store, log *slog.Logger) {
	a := &api{store, log}
	within := huma.Middlewares{deadline}
	huma.Register(on, huma.Operation{
		OperationID: "list-stock", Method: http.MethodGet, Path: "/v1/stock", Tags: []string{"Stock"},
		Summary: "List what there is, by sku", Middlewares: within, Errors: []int{http.StatusServiceUnavailable},
	}, a.list)
	huma.Register(on, huma.Operation{
		OperationID: "get-stock", Method: http.MethodGet, Path: "/v1/stock/{sku}", Tags: []string{"Stock"},
		Summary: "What there is of one sku", Middlewares: within,
		Errors: []int{http.StatusNotFound, http.StatusServiceUnavailable},
	}, a.get)
	huma.Register(on, huma.Operation{
		OperationID: "set-stock", Method: http.MethodPut, Path: "/v1/stock/{sku}", Tags: []string{"Stock"},
		Summary: "Set what is on hand of one sku, which may be new",
		Description: "Sets the count of what the next order can have, after a delivery or a stock-taking. " +
			"What is reserved stays reserved. Doing it twice is the same as once: after a 503 it may have been done, " +
			"so send it again.",
		Middlewares: within, MaxBodyBytes: httpserver.MaxBodyBytes,
		Errors: []int{http.StatusBadRequest, http.StatusServiceUnavailable},
	}, a.set)
	huma.Register(on, huma.Operation{
		OperationID: "get-reservation", Method: http.MethodGet, Path: "/v1/reservations/{orderId}", Tags: []string{"Reservations"},
		Summary: "What was decided for one order", Middlewares: within,
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusServiceUnavailable},
	}, a.reservation)
}

// deadline bounds what a request waits for the database.
func deadline(ctx huma.Context, next func(huma.Context)) {
	bounded, cancel := context.WithTimeout(ctx.Context(), httpserver.RequestTimeout)
	defer cancel()
	next(huma.WithContext(ctx, bounded))
}

// Level is how much there is of one sku.
type Level struct {
	SKU       string    `json:"sku" example:"burger"`
	OnHand    int64     `json:"onHand" doc:"What the next order can have"`
	Reserved  int64     `json:"reserved" doc:"What live reservations hold"`
	Received  int64     `json:"received" doc:"What was ever put in: onHand and reserved together"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func shown(l stock.Level) Level {
	return Level{SKU: l.SKU, OnHand: l.OnHand, Reserved: l.Reserved(), Received: l.Received, UpdatedAt: l.UpdatedAt.UTC()}
}

type levelOutput struct{ Body Level }

type listInput struct {
	Cursor string `query:"cursor" maxLength:"512" doc:"The next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

type listOutput struct {
	Body struct {
		Stock []Level `json:"stock" nullable:"false"`
		Next  string  `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
	}
}

func (a *api) list(ctx context.Context, in *listInput) (*listOutput, error) {
	after, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err != nil || len(after) > 0 && stock.CheckSKU(string(after)) != nil {
		return nil, invalid("query.cursor", "is not one that this API gave out")
	}
	levels, err := a.store.Levels(ctx, string(after), in.Limit+1)
	if err != nil {
		return nil, a.problem(err)
	}
	out := &listOutput{}
	if len(levels) > in.Limit {
		levels = levels[:in.Limit]
		out.Body.Next = base64.RawURLEncoding.EncodeToString([]byte(levels[in.Limit-1].SKU))
	}
	out.Body.Stock = make([]Level, len(levels))
	for i, l := range levels {
		out.Body.Stock[i] = shown(l)
	}
	return out, nil
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

func (a *api) get(ctx context.Context, in *SKUPath) (*levelOutput, error) {
	level, err := a.store.Level(ctx, in.SKU)
	if err != nil {
		return nil, a.problem(err)
	}
	return &levelOutput{shown(level)}, nil
}

type setInput struct {
	SKUPath
	Body struct {
		OnHand int64 `json:"onHand" minimum:"0" maximum:"1000000000000" example:"100" doc:"What the next order can have"`
	}
}

func (a *api) set(ctx context.Context, in *setInput) (*levelOutput, error) {
	level, err := a.store.SetOnHand(ctx, in.SKU, in.Body.OnHand)
	if err != nil {
		return nil, a.problem(err)
	}
	a.log.Info("stock set", "sku", level.SKU, "on_hand", level.OnHand, "received", level.Received)
	return &levelOutput{shown(level)}, nil
}

// Reservation is what was decided for one order.
type Reservation struct {
	OrderID   int64     `json:"orderId"`
	SKU       string    `json:"sku,omitempty" doc:"Absent where items were given back before any were asked for"`
	Quantity  int32     `json:"quantity,omitempty"`
	State     string    `json:"state" enum:"RESERVED,REJECTED,RELEASED"`
	Reason    string    `json:"reason,omitempty" doc:"Why it was rejected"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
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
		return nil, a.problem(err)
	}
	return &reservationOutput{Reservation{
		OrderID: r.OrderID, SKU: r.SKU, Quantity: r.Quantity, State: string(r.State), Reason: r.Reason,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}}, nil
}

// problem turns an error into what a client may see, once for all operations.
func (a *api) problem(err error) error {
	switch {
	case errors.Is(err, stock.ErrNotFound):
		return huma.Error404NotFound("inventory does not know it")
	case chassispg.Unavailable(err), errors.Is(err, context.Canceled): // canceled: the client hung up
		return httpserver.Unavailable("the database does not answer; try again shortly")
	default:
		a.log.Error("request failed", "error", err)
		return huma.Error500InternalServerError("something went wrong here; it has been logged")
	}
}

func invalid(location, message string) error {
	return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: location, Message: message})
}
