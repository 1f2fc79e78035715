package stock

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"waybill.example/chassis/idempotency"
)

// Why a change of a level is refused.
var (
	// ErrKeyReused says that an idempotency key came before, with another request.
	ErrKeyReused = idempotency.ErrKeyReused
	// ErrMoved says that the level is not the one that the change was decided about.
	ErrMoved = errors.New("the stock has changed since")
	// ErrTooFew says that less than nothing would be on hand. It is wrapped by the error that says
	// the numbers, an [Impossible].
	ErrTooFew = errors.New("fewer are there")
	// ErrTooMany says that more would be on hand than can be counted.
	ErrTooMany = fmt.Errorf("more than %d would be on hand", MaxOnHand)
)

// Impossible is an [ErrTooFew] in numbers that an operator can act on.
type Impossible string

func (i Impossible) Error() string { return string(i) }

// Unwrap returns [ErrTooFew].
func (Impossible) Unwrap() error { return ErrTooFew }

// Change is what an operator wants of the level of a sku, and why.
type Change struct {
	SKU  string
	Kind Kind // any but [KindInitial]
	// Amount is what is on hand from now on (set), what is on the shelf, with what is reserved
	// (count), or what came in, negative for what went out (move).
	Amount int64
	Reason string
	Origin
	// IfMatch, if not empty, is the tag of what the operator saw, which must be current: that of
	// the level for a set, that of the log for the others; see [Current.Tag].
	IfMatch string
	// IfExists has the change made only where there is the sku.
	IfExists bool
	// IfNew has the change made only where the sku is new.
	IfNew bool
	// Key, if not empty, identifies the request: however often it is made, it changes the stock
	// once.
	Key string
}

// Origin is where a change comes from.
type Origin struct {
	Actor  string // the holder of the token; "" without one
	Client string // the address and the program that sent it
}

// Changed is what a change has led to.
type Changed struct {
	Level
	Movement Movement
	Created  bool // the sku is new
}

// Digest tells one request from another, by what its body says.
func (c Change) Digest() idempotency.Digest {
	return idempotency.Sum(string(c.Kind), c.SKU, strconv.FormatInt(c.Amount, 10), c.Reason)
}

// Current is a level and its log, as a change finds them.
type Current struct {
	Level
	LastMovement int64 // 0: none
}

// Tag is what a change of a kind names in IfMatch. A set says what is on hand, so it must have seen
// the level with every reservation. A count and a move are right whatever is reserved meanwhile:
// they may depend on nobody else having changed the stock, which is what the log says.
func (c Current) Tag(k Kind) string {
	if k == KindSet {
		return c.Level.Tag()
	}
	return LogTag(c.LastMovement)
}

// Apply returns what is on hand after the change; nil stands for a sku that does not exist.
func (c Change) Apply(now *Current) (onHand int64, err error) {
	switch {
	case c.IfNew && now != nil, c.IfExists && now == nil:
		return 0, ErrMoved
	case c.IfMatch != "" && (now == nil || c.IfMatch != now.Tag(c.Kind)):
		return 0, ErrMoved
	case c.Kind == KindSet:
		return c.Amount, nil
	case now == nil:
		return 0, ErrNotFound
	case c.Kind == KindCount:
		return now.counted(c.Amount)
	}
	return now.moved(c.Amount)
}

// counted returns what is on hand where so many are on the shelf: those that nobody has reserved.
func (l Level) counted(n int64) (int64, error) {
	if n < l.Reserved() {
		return 0, Impossible(fmt.Sprintf("%d were counted, and %d are reserved: cancel orders first, or count again", n, l.Reserved()))
	}
	return n - l.Reserved(), nil
}

// moved returns what is on hand after a movement. Neither number is so large that they overflow.
func (l Level) moved(delta int64) (int64, error) {
	switch {
	case l.OnHand+delta < 0:
		return 0, Impossible(fmt.Sprintf("%d are on hand, and %d were to be taken away", l.OnHand, -delta))
	case l.OnHand+delta > MaxOnHand:
		return 0, ErrTooMany
	}
	return l.OnHand + delta, nil
}

// Tag tells one state of a level from another: two that a client can tell apart have different
// tags, also where only reservations have changed something.
func (l Level) Tag() string {
	return fmt.Sprintf("%x-%x-%x", l.UpdatedAt.UnixMicro(), l.OnHand, l.Received)
}

// CheckReason returns an error that says why text cannot be the reason of a movement.
func CheckReason(text string) error {
	if strings.TrimFunc(text, unicode.IsSpace) == "" {
		return errors.New("must say why, for those who read the log")
	}
	return nil
}
