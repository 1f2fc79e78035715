package order

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strconv"
)

// ErrKeyReused says that an idempotency key came before, with another request.
var ErrKeyReused = errors.New("the idempotency key was used for another request")

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

// Digest tells one request from another. Two requests with the same fields have the same digest,
// however their bodies were written.
type Digest [sha256.Size]byte

// Digest returns the digest of a request to place the order.
func (d Draft) Digest() Digest {
	return digest("place", d.UserID, d.SKU, strconv.Itoa(int(d.Quantity)), d.Note)
}

// Digest returns the digest of a request to cancel an order.
func (c Cancellation) Digest() Digest {
	return digest("cancel", strconv.FormatInt(c.OrderID, 10), c.Reason)
}

// digest hashes each part behind its length, so that no two lists of parts look alike.
func digest(parts ...string) (sum Digest) {
	h := sha256.New()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	h.Sum(sum[:0])
	return sum
}
