package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/binary"
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
	Next   string  `json:"next,omitempty" doc:"The cursor of the next page; absent on the last" example:"AAAAAAAAEmc"`
}

func (a *api) list(ctx context.Context, in *listInput) (*listOutput, error) {
	before, err := parseCursor(in.Cursor)
	if err != nil {
		return nil, err
	}
	filter := order.Filter{Status: order.Status(in.Status), UserID: string(in.UserID)}
	// One more than asked for tells whether there is another page.
	found, err := a.Store.List(ctx, filter, order.Page{Before: before, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: Page{Orders: make([]Order, 0, len(found))}}
	for _, o := range found[:min(len(found), in.Limit)] {
		out.Body.Orders = append(out.Body.Orders, toResponse(o))
	}
	if len(found) > in.Limit {
		out.Body.Next = cursor(found[in.Limit-1].ID)
	}
	out.Paged = httpserver.Next(ctx, out.Body.Next)
	return out, nil
}

// cursor is opaque to clients: the id of the last order of a page.
func cursor(last int64) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(last)))
}

// parseCursor returns the id that a page ends below, 0 for no cursor.
func parseCursor(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err == nil && len(raw) == 8 {
		if last := int64(binary.BigEndian.Uint64(raw)); last > 0 {
			return last, nil
		}
	}
	return 0, httpserver.InvalidCursor()
}
