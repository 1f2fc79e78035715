// Package httpapi is the orders API over HTTP. Its operations are declared once: routes,
// validation, errors and the OpenAPI document come from the same lines.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/problem"
	"waybill.example/orders/internal/shed"
	"waybill.example/orders/internal/watch"
	"waybill.example/orders/order"
)

// Place returns what became of a request to place an order, once that is durable.
type Place func(ctx context.Context, r order.Request) (order.Placed, error)

// Store has the orders. An order that does not exist is [order.ErrNotFound].
type Store interface {
	Get(ctx context.Context, id int64) (order.Order, error)
	List(ctx context.Context, f order.Filter, p order.Page) (page []order.Order, next int64, err error)
	// RequestCancel returns the order as it is when the request is taken.
	RequestCancel(ctx context.Context, c order.Cancellation) (order.Order, error)
}

// Service is what the operations are made of.
type Service struct {
	Store Store
	Place Place
	// Hub follows orders for clients that wait, and Waiting bounds how many do.
	Hub     *watch.Hub
	Waiting *httpserver.Waiting
	Log     *slog.Logger
	// Rates limits how many orders a user places, and Backlog how many there may be; nil: nothing
	// does.
	Rates   *httpserver.RateLimiter
	Backlog *shed.Backlog
	// AliveEvery is how often a stream without news says that it is open; 15 s if it is 0.
	AliveEvery time.Duration
}

type api struct{ Service }

// Register adds the operations to an API.
func Register(to huma.API, s Service) {
	a := &api{s}
	operations := httpserver.Operations{API: to, Log: s.Log, Answers: answers}
	httpserver.Handle(operations, placeOperation, a.place)
	httpserver.Handle(operations, getOperation, a.get)
	httpserver.Handle(operations, listOperation, a.list)
	httpserver.Handle(operations, cancelOperation, a.cancel)
	a.registerEvents(operations)
	httpserver.DocumentAlso(to, cancelOperation, http.StatusOK, "The order is CANCELLED already")
	documentWait(to.OpenAPI())
}

var answers = []httpserver.Answer{
	{Err: order.ErrNotFound, Type: problem.NotFound, Detail: "there is no such order"},
	{
		Err: order.ErrKeyReused, Type: problem.KeyReused, Location: "header.Idempotency-Key",
		Detail: "was used for another request; choose a new key for each request",
	},
}

// PathID is an order's id in a path. It is a string to huma, whose answer to a word where a number
// belongs is 422; a URL that cannot exist is 400. Exported, as huma passes over what is not.
type PathID struct {
	ID string `path:"id" doc:"The order's id, a positive whole number" example:"1"`
}

func (i PathID) number() (int64, error) {
	n, err := strconv.ParseUint(i.ID, 10, 63)
	if err != nil || n == 0 {
		return 0, huma.Error400BadRequest("the order id in the path is not a positive whole number")
	}
	return int64(n), nil
}

// Traced takes a client's W3C trace context along.
type Traced struct {
	TraceParent string `header:"traceparent" doc:"W3C trace context: the order's messages become part of this trace" example:"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"`
}
