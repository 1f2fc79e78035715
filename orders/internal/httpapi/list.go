package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/orders/order"
)

var listOperation = huma.Operation{
	OperationID: "list-orders",
	Method:      http.MethodGet,
	Path:        "/v1/orders",
	Summary:     "List orders, newest first",
	Description: "A page that is not the last has a next: give it back as cursor, with the same filters. Orders that are " +
		"placed meanwhile do not move the pages. A page by status looks at 25,000 orders at most, so it may be short, or " +
		"empty, and have a next.",
}

type listInput struct {
	Status string `query:"status" enum:"PENDING,CONFIRMED,CANCELLED" doc:"Only orders of this status" example:"PENDING"`
	UserID name   `query:"userId" doc:"Only orders of this user" example:"u1"`
	httpserver.Page
}

type listOutput struct {
	httpserver.Paged
	Body Page
}

// Page is a page of orders.
type Page struct {
	Orders []Order `json:"orders" nullable:"false" doc:"Newest first"`
	Next   string  `json:"next,omitempty" doc:"The cursor of the next page; absent on the last" example:"NDcxMQ"`
}

func (a *api) list(ctx context.Context, in *listInput) (*listOutput, error) {
	before, err := in.After()
	if err != nil {
		return nil, err
	}
	filter := order.Filter{Status: order.Status(in.Status), UserID: string(in.UserID)}
	found, next, err := a.Store.List(ctx, filter, order.Page{Before: before, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	if next > 0 {
		out.Body.Next = httpserver.CursorOf(next)
		out.Paged = httpserver.Next(ctx, out.Body.Next)
	}
	out.Body.Orders = make([]Order, len(found))
	for i, o := range found {
		out.Body.Orders[i] = toResponse(o)
	}
	return out, nil
}
