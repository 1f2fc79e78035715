package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/orders/order"
)

// Order is an order as clients see it. The names of bodies are exported for the document alone.
type Order struct {
	ID        int64     `json:"id" example:"1"`
	UserID    string    `json:"userId" example:"u1"`
	SKU       string    `json:"sku,omitempty" doc:"What an order of one line is for; absent where there are items" example:"burger"`
	Quantity  int32     `json:"quantity,omitempty" example:"2"`
	Items     []Item    `json:"items,omitempty" nullable:"false" doc:"The lines of an order of several; absent for an order of one"`
	Note      string    `json:"note" example:"kafka test"`
	Status    string    `json:"status" enum:"PENDING,CONFIRMED,CANCELLED" doc:"PENDING until the saga has decided; CANCELLED is final" example:"CONFIRMED"`
	Reason    string    `json:"reason,omitempty" doc:"Why the order is CANCELLED" example:"insufficient stock: 3 available, 5 requested"`
	CreatedAt time.Time `json:"createdAt" example:"2026-11-23T10:04:05.123456Z"`
	UpdatedAt time.Time `json:"updatedAt" doc:"When the status changed last" example:"2026-11-23T10:04:05.234567Z"`

	CancelRequestedAt time.Time `json:"cancelRequestedAt,omitzero" doc:"When a client first asked for it to be cancelled" example:"2026-11-23T10:05:00.123456Z"`
	CancelRefused     string    `json:"cancelRefused,omitempty" doc:"Why that was not granted: the order stays as it is" example:"completed more than 24h ago"`
}

func toResponse(o order.Order) Order {
	var items []Item
	for _, line := range o.Items {
		items = append(items, Item{name(line.SKU), line.Quantity})
	}
	return Order{
		ID: o.ID, UserID: o.UserID, SKU: o.SKU, Quantity: o.Quantity, Items: items, Note: o.Note,
		Status: string(o.Status), Reason: o.Reason, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
		CancelRequestedAt: o.CancelRequestedAt, CancelRefused: o.CancelRefused,
	}
}

var getOperation = huma.Operation{
	OperationID: "get-order",
	Method:      http.MethodGet,
	Path:        "/v1/orders/{id}",
	Summary:     "Show an order",
	Description: "With `Prefer: wait=N` the answer comes once nothing is under way for the order: it is CANCELLED, or it is " +
		"CONFIRMED and no request to cancel it waits for its answer; or after the wait, with the order as it is then.",
	Errors: []int{http.StatusBadRequest, http.StatusNotFound},
}

type getInput struct {
	PathID
	httpserver.Preferences
}

type orderOutput struct {
	Applied
	Body Order
}

func (a *api) get(ctx context.Context, in *getInput) (*orderOutput, error) {
	number, err := in.number()
	if err != nil {
		return nil, err
	}
	found, applied, err := a.await(ctx, &in.Preferences, number)
	if err != nil {
		return nil, err
	}
	return &orderOutput{applied, toResponse(found)}, nil
}
