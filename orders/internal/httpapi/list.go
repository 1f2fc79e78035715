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
		"placed meanwhile do not move the pages.",
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
	found, err := a.Store.List(ctx, filter, order.Page{Before: before, Limit: in.Fetch()})
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	found, out.Body.Next, out.Paged = httpserver.Cut(ctx, in.Page, found, func(last order.Order) string { return httpserver.CursorOf(last.ID) })
	out.Body.Orders = make([]Order, len(found))
	for i, o := range found {
		out.Body.Orders[i] = toResponse(o)
	}
	return out, nil
}
