package order

import (
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
)

// Placement is a request that becomes the order of an id.
type Placement struct {
	Request
	ID int64
}

// Placed is what became of one request.
type Placed struct {
	ID  int64
	Err error // [ErrKeyReused], or nil
}

// RequestKey is the idempotency key of a user's request.
type RequestKey struct{ UserID, Key string }

// Claim is what a key was used for: a request, and the order that it led to.
type Claim struct {
	Digest  Digest
	OrderID int64
}

// Place decides what becomes of requests, each of which has an id in case it is a new one. A key
// that was claimed before is answered with its order, or refused for another request; of several
// requests with one key, the first is the new one. It adds the new keys to claims. There are as
// many results as requests, in their order; the placements are the new orders among them.
func Place(requests []Request, ids []int64, claims map[RequestKey]Claim) (placed []Placed, placements []Placement) {
	placed = make([]Placed, len(requests))
	placements = make([]Placement, 0, len(requests))
	for i, r := range requests {
		if r.Key == "" {
			placed[i].ID = ids[i]
			placements = append(placements, Placement{r, ids[i]})
			continue
		}
		key, digest := RequestKey{r.UserID, r.Key}, r.Digest()
		switch before, known := claims[key]; {
		case !known:
			claims[key] = Claim{digest, ids[i]}
			placed[i].ID = ids[i]
			placements = append(placements, Placement{r, ids[i]})
		case before.Digest == digest:
			placed[i].ID = before.OrderID
		default:
			placed[i].Err = ErrKeyReused
		}
	}
	return placed, placements
}

// Event is the event that says that the order was placed, and starts its saga.
func (p Placement) Event(at time.Time) contracts.Message {
	return contracts.OrderCreated{
		Envelope: contracts.NewEnvelope(p.ID, uuid.Nil, at),
		UserID:   p.UserID, SKU: p.SKU, Quantity: p.Quantity, Items: p.Items,
	}
}
