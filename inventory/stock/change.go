package stock

import (
	"errors"
	"fmt"
	"strconv"

	"waybill.example/chassis/idempotency"
)

// Why a change of a level is refused.
var (
	// ErrKeyReused says that an idempotency key came before, with another request.
	ErrKeyReused = idempotency.ErrKeyReused
	// ErrMoved says that the level is not the one that the change was decided about.
	ErrMoved = errors.New("the stock has changed since")
	// ErrTooFew says that more was to be taken away than is on hand.
	ErrTooFew = errors.New("fewer are on hand")
	// ErrTooMany says that more would be on hand than can be counted.
	ErrTooMany = fmt.Errorf("more than %d would be on hand", MaxOnHand)
)

// Change is what an operator wants of the level of a sku: a count, or a movement.
type Change struct {
	SKU string
	// Count is what is on hand from now on; nil for a movement.
	Count *int64
	// Delta is what came in, or went out where it is negative.
	Delta int64
	// IfMatch, if not empty, is the tag of the level that the operator saw; "*" is any.
	IfMatch string
	// IfNew has the change made only where the sku is new.
	IfNew bool
	// Key, if not empty, identifies the request: however often it is made, it changes the stock
	// once.
	Key string
}

// Changed is what a change has led to.
type Changed struct {
	Level
	Created bool // the sku is new
}

// Digest tells one request from another.
func (c Change) Digest() idempotency.Digest {
	count := "none"
	if c.Count != nil {
		count = strconv.FormatInt(*c.Count, 10)
	}
	return idempotency.Sum(c.SKU, count, strconv.FormatInt(c.Delta, 10))
}

// Apply returns what is on hand after the change of a level; nil stands for a sku that is not
// there.
func (c Change) Apply(now *Level) (onHand int64, err error) {
	switch {
	case c.IfNew && now != nil:
		return 0, ErrMoved
	case c.IfMatch != "" && now == nil:
		return 0, ErrMoved
	case c.IfMatch != "" && c.IfMatch != "*" && c.IfMatch != now.Tag():
		return 0, ErrMoved
	case c.Count != nil:
		return *c.Count, nil
	case now == nil:
		return 0, ErrNotFound
	case now.OnHand+c.Delta < 0:
		return 0, ErrTooFew
	case now.OnHand+c.Delta > MaxOnHand:
		return 0, ErrTooMany
	}
	return now.OnHand + c.Delta, nil
}

// Tag tells one state of a level from another.
func (l Level) Tag() string {
	return fmt.Sprintf("%x-%x-%x", l.UpdatedAt.UnixMicro(), l.OnHand, l.Received)
}
