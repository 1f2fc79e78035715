package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Status says how far an order has come.
type Status string

// The statuses. CANCELLED is final; a CONFIRMED order may yet be cancelled on request.
const (
	Pending   Status = "PENDING"
	Confirmed Status = "CONFIRMED"
	Cancelled Status = "CANCELLED"
)

// Item is one line of an order.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int32  `json:"quantity"`
}

// Draft is an order to be placed: of one line, with SKU and Quantity, or of several, each of
// another sku, with Items in their place.
type Draft struct {
	UserID   string `json:"userId"`
	SKU      string `json:"sku,omitempty"`
	Quantity int32  `json:"quantity,omitempty"`
	Items    []Item `json:"items,omitempty"`
	Note     string `json:"note,omitempty"`
	// Key, if not empty, is the Idempotency-Key, for a program that remembers it across its own
	// restarts: the same draft under the same key is one order. The client makes one up else.
	Key string `json:"-"`
}

// Order is an order as the service shows it. It has either SKU and Quantity, or Items.
type Order struct {
	ID        int64     `json:"id"`
	UserID    string    `json:"userId"`
	SKU       string    `json:"sku,omitempty"`
	Quantity  int32     `json:"quantity,omitempty"`
	Items     []Item    `json:"items,omitempty"`
	Note      string    `json:"note"`
	Status    Status    `json:"status"`
	Reason    string    `json:"reason,omitempty"` // why it is CANCELLED
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"` // when the status changed last

	CancelRequestedAt time.Time `json:"cancelRequestedAt,omitzero"` // zero: nobody did
	CancelRefused     string    `json:"cancelRefused,omitempty"`    // why that was not granted
}

// Terminal reports whether nothing is under way for the order: it is CANCELLED, or it is CONFIRMED
// and no request to cancel it waits for an answer.
func (o Order) Terminal() bool {
	return o.Status == Cancelled || o.Status == Confirmed && (o.CancelRequestedAt.IsZero() || o.CancelRefused != "")
}

// Filter chooses orders; the zero value of a field means any.
type Filter struct {
	Status Status
	UserID string
	// PageSize is how many orders are asked for at once, 1 to 200; the server's default for 0.
	PageSize int
}

const ordersPath = "/v1/orders"

func orderPath(id int64) string { return ordersPath + "/" + strconv.FormatInt(id, 10) }

// accepted is the answer to an order that was placed.
type accepted struct {
	ID int64 `json:"id"`
}

// cancellation is the request to cancel an order.
type cancellation struct {
	Reason string `json:"reason,omitempty"`
}

// page is a page of orders.
type page struct {
	Orders []Order `json:"orders"`
	Next   string  `json:"next,omitempty"`
}

// Place places an order and returns its id, once that is durable. See [Client.PlaceAndWait] for the
// outcome.
func (c *Client) Place(ctx context.Context, d Draft) (id int64, err error) {
	var answer accepted
	_, err = c.do(ctx, placing(d), &answer)
	return answer.ID, err
}

func placing(d Draft) call {
	call := call{method: http.MethodPost, path: ordersPath, body: d}
	if d.Key != "" {
		call.set("Idempotency-Key", d.Key)
	}
	return call
}

// Get returns an order.
func (c *Client) Get(ctx context.Context, id int64) (Order, error) {
	var found Order
	_, err := c.do(ctx, call{method: http.MethodGet, path: orderPath(id)}, &found)
	return found, err
}

// Cancel asks for an order to be cancelled, and returns it as it is then: mostly not cancelled yet,
// which [Client.Wait] waits for. An empty reason is the server's.
func (c *Client) Cancel(ctx context.Context, id int64, reason string) (Order, error) {
	var shown Order
	_, err := c.do(ctx, call{method: http.MethodPost, path: orderPath(id) + "/cancel", body: cancellation{reason}}, &shown)
	return shown, err
}

// List yields the orders that a filter chooses, newest first. It reads a page when it is needed, so
// a loop that ends early costs no more than it has seen. After an error it ends.
func (c *Client) List(ctx context.Context, f Filter) iter.Seq2[Order, error] {
	query := url.Values{}
	if f.Status != "" {
		query.Set("status", string(f.Status))
	}
	if f.UserID != "" {
		query.Set("userId", f.UserID)
	}
	if f.PageSize != 0 {
		query.Set("limit", strconv.Itoa(f.PageSize))
	}
	return func(yield func(Order, error) bool) {
		query := url.Values(http.Header(query).Clone())
		for {
			var p page
			if _, err := c.do(ctx, call{method: http.MethodGet, path: ordersPath, query: query.Encode()}, &p); err != nil {
				yield(Order{}, err)
				return
			}
			for _, o := range p.Orders {
				if !yield(o, nil) {
					return
				}
			}
			if p.Next == "" {
				return
			}
			query.Set("cursor", p.Next)
		}
	}
}
