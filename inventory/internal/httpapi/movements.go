package httpapi

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/inventory/stock"
)

// Movement is one entry of the log of a sku.
type Movement struct {
	ID       int64     `json:"id" doc:"Larger than those of the earlier movements of the sku"`
	Kind     string    `json:"kind" enum:"initial,set,count,move" doc:"What was done: initial is what there was when the log began"`
	Delta    int64     `json:"delta" doc:"What on hand changed by: all movements of a sku add up to what was received"`
	Before   int64     `json:"before" doc:"What was on hand"`
	After    int64     `json:"after" doc:"What was on hand afterwards"`
	Reserved int64     `json:"reserved" doc:"What was reserved at that moment"`
	Reason   string    `json:"reason,omitempty" doc:"Why"`
	Actor    string    `json:"actor" doc:"Who: the holder of the token, or anonymous where none was needed"`
	Client   string    `json:"client,omitempty" doc:"The address and the program that sent the request"`
	At       time.Time `json:"at" doc:"When"`
}

func toMovement(m stock.Movement) Movement {
	return Movement{
		ID: m.ID, Kind: string(m.Kind), Delta: m.Delta, Before: m.Before(), After: m.OnHand, Reserved: m.Reserved,
		Reason: m.Reason, Actor: m.Actor, Client: m.Client, At: m.At.UTC(),
	}
}

var movementsOperation = huma.Operation{
	OperationID: "list-movements", Method: http.MethodGet, Path: "/v1/stock/{sku}/movements", Tags: []string{"Stock"},
	Summary:     "Who changed what there is of one sku, and why",
	Description: "The newest first. Reservations are no movements. The ETag changes with each movement, and with nothing else.",
	Errors:      []int{http.StatusNotFound},
}

type pageInput struct {
	SKUPath
	httpserver.Page
}

// below is the id that the page begins below.
func (in *pageInput) below() (int64, error) {
	below, err := in.After()
	if below == 0 {
		below = math.MaxInt64
	}
	return below, err
}

type movementsOutput struct {
	httpserver.Paged
	ETag string `header:"ETag" doc:"On the first page: what a movement names in If-Match" example:"\"log-17\""`
	Body struct {
		Movements []Movement `json:"movements" nullable:"false"`
		Next      string     `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
	}
}

func (a *api) movements(ctx context.Context, in *pageInput) (*movementsOutput, error) {
	below, err := in.below()
	if err != nil {
		return nil, err
	}
	movements, err := a.store.Movements(ctx, in.SKU, below, in.Fetch())
	if err != nil {
		return nil, err
	}
	out := &movementsOutput{}
	if in.Cursor == "" {
		var last int64
		if len(movements) > 0 {
			last = movements[0].ID
		} else if _, err := a.store.Level(ctx, in.SKU); err != nil {
			return nil, err // there is no such sku
		}
		out.ETag = strconv.Quote(stock.LogTag(last))
	}
	movements, out.Body.Next, out.Paged = httpserver.Cut(ctx, in.Page, movements, func(last stock.Movement) string { return httpserver.CursorOf(last.ID) })
	out.Body.Movements = make([]Movement, len(movements))
	for i, m := range movements {
		out.Body.Movements[i] = toMovement(m)
	}
	return out, nil
}

// Holder is an order that holds some of a sku.
type Holder struct {
	OrderID  int64     `json:"orderId"`
	Quantity int32     `json:"quantity"`
	Since    time.Time `json:"since" doc:"When it was reserved"`
}

var holdersOperation = huma.Operation{
	OperationID: "list-reservations", Method: http.MethodGet, Path: "/v1/stock/{sku}/reservations", Tags: []string{"Reservations"},
	Summary: "Which orders hold some of one sku",
	Description: "The newest order first. A page looks at 50,000 orders at most, whichever skus they are of, so it may be short, or " +
		"empty, and have a next all the same.",
	Errors: []int{http.StatusNotFound},
}

type holdersOutput struct {
	httpserver.Paged
	Body struct {
		Reservations []Holder `json:"reservations" nullable:"false"`
		Next         string   `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
	}
}

func (a *api) holders(ctx context.Context, in *pageInput) (*holdersOutput, error) {
	below, err := in.below()
	if err != nil {
		return nil, err
	}
	held, next, err := a.store.Holders(ctx, in.SKU, below, in.Limit)
	if err != nil {
		return nil, err
	}
	if len(held) == 0 && in.Cursor == "" {
		if _, err := a.store.Level(ctx, in.SKU); err != nil {
			return nil, err // there is no such sku
		}
	}
	out := &holdersOutput{}
	if next > 0 {
		out.Body.Next = httpserver.CursorOf(next)
	}
	out.Paged = httpserver.Next(ctx, out.Body.Next)
	out.Body.Reservations = make([]Holder, len(held))
	for i, h := range held {
		out.Body.Reservations[i] = Holder{OrderID: h.OrderID, Quantity: h.Quantity, Since: h.Since.UTC()}
	}
	return out, nil
}
