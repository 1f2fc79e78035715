package order

import (
	"strconv"

	"waybill.example/chassis/idempotency"
)

// ErrKeyReused says that an idempotency key came before, with another request.
var ErrKeyReused = idempotency.ErrKeyReused

// Request is a request to place an order.
type Request struct {
	Draft
	// Key, if not empty, identifies the request among those of its user: however often it is made,
	// it places one order.
	Key string
	// TraceParent, if not empty, travels with the order's messages.
	TraceParent string
}

// Cancellation is a request to cancel an order.
type Cancellation struct {
	OrderID          int64
	Reason           string
	Key, TraceParent string // as in a [Request]
}

// Digest tells one request from another.
type Digest = idempotency.Digest

// Digest returns the digest of a request to place the order. The order of the lines counts.
func (d Draft) Digest() Digest {
	if len(d.Items) > 0 {
		parts := []string{"place items", d.UserID, d.Note}
		for _, line := range d.Items {
			parts = append(parts, line.SKU, strconv.Itoa(int(line.Quantity)))
		}
		return idempotency.Sum(parts...)
	}
	return idempotency.Sum("place", d.UserID, d.SKU, strconv.Itoa(int(d.Quantity)), d.Note)
}

// Digest returns the digest of a request to cancel an order.
func (c Cancellation) Digest() Digest {
	return idempotency.Sum("cancel", strconv.FormatInt(c.OrderID, 10), c.Reason)
}
