// Package httpapi is the orders API over HTTP. Its operations are declared once: routes, validation,
// errors and the OpenAPI document come from the same lines.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/postgres"
	"waybill.example/orders/order"
)

// Place returns what became of a request to place an order, once that is durable.
type Place func(ctx context.Context, r order.Request) (order.Placed, error)

// Store has the orders. An order that does not exist is [order.ErrNotFound].
type Store interface {
	Get(ctx context.Context, id int64) (order.Order, error)
	List(ctx context.Context, f order.Filter, p order.Page) ([]order.Order, error)
	// RequestCancel returns the order as it is when the request is taken.
	RequestCancel(ctx context.Context, c order.Cancellation) (order.Order, error)
}

type api struct {
	store      Store
	placeOrder Place
	log        *slog.Logger
}

// Register adds the operations to an API.
func Register(to huma.API, store Store, place Place, log *slog.Logger) {
	a := &api{store, place, log}
	register(to, placeOperation, handler(a, "place order", sendAgain, a.place))
	register(to, getOperation, handler(a, "get order", tryAgain, a.get))
	register(to, listOperation, handler(a, "list orders", tryAgain, a.list))
	register(to, cancelOperation, handler(a, "cancel order", sendAgain, a.cancel))
	documentNoop(to.OpenAPI())
}

// register adds one operation. huma appends to its errors, and the operation is shared by every API of
// the process.
func register[I, O any](to huma.API, operation huma.Operation, do func(context.Context, *I) (*O, error)) {
	operation.Errors = slices.Clone(operation.Errors)
	huma.Register(to, operation, do)
}

// handler gives an operation its time, which begins once the request is read, and makes its error
// one for HTTP.
func handler[I, O any](a *api, doing, when503 string, do func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, httpserver.RequestTimeout)
		defer cancel()
		out, err := do(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, doing, when503, err)
		}
		return out, nil
	}
}

// problem is the one place where an error becomes an answer. The client learns what it can do; what
// happened is for the log.
func (a *api) problem(ctx context.Context, doing, when503 string, err error) error {
	var answer huma.StatusError
	switch {
	case errors.As(err, &answer):
		return err
	case errors.Is(err, order.ErrNotFound):
		return huma.Error404NotFound("there is no such order")
	case errors.Is(err, order.ErrKeyReused):
		return huma.Error422UnprocessableEntity("this Idempotency-Key came before with another request; draw a new key for each request",
			&huma.ErrorDetail{Location: "header.Idempotency-Key", Message: "used for another request"})
	case errors.Is(err, context.Canceled):
		return httpserver.Unavailable("the request was given up") // by the client, who will not read this
	case postgres.Unavailable(err):
		a.log.WarnContext(ctx, "database is away", "doing", doing, "error", err)
		return httpserver.Unavailable(when503)
	default:
		a.log.ErrorContext(ctx, "request failed", "doing", doing, "error", err)
		return huma.Error500InternalServerError("something went wrong here; it has been logged")
	}
}

// What to do about a 503. That a change has failed says nothing about its transaction: the answer to
// its commit can be lost.
const (
	tryAgain  = "the database does not answer; try again"
	sendAgain = "the database does not answer, and the request may have been carried out or not: send it again with the same Idempotency-Key"
)

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

// Keyed lets a client send a request again.
type Keyed struct {
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"255" pattern:"^[ -~]*$" patternDescription:"printable ASCII" doc:"Drawn by the client for each request, and kept for 24 hours: a request with a key that came before is not carried out again, and gets the same answer. With another body it is refused (422). Keys are each user's own." example:"8e03978e-40d5-43dd-bc93-6894a57f9324"`
}

// Resolve refuses a header that protects nothing although its client believes so: an empty one, and two.
func (*Keyed) Resolve(ctx huma.Context) []error {
	request, _ := humachi.Unwrap(ctx)
	keys := request.Header["Idempotency-Key"]
	if len(keys) == 0 || len(keys) == 1 && keys[0] != "" {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: "header.Idempotency-Key", Message: "expected one key, which is not empty"}}
}

// Every operation may answer these besides its own.
var commonErrors = []int{http.StatusServiceUnavailable}
