package stock

import (
	"fmt"
	"time"
)

// Kind is what an operator did to a level.
type Kind string

// The kinds of movements.
const (
	// KindInitial is what there was when the log began.
	KindInitial Kind = "initial"
	// KindSet says what is on hand, after a look at the numbers.
	KindSet Kind = "set"
	// KindCount says what is on the shelf, with what is reserved.
	KindCount Kind = "count"
	// KindMove adds what came in, or takes away what went out.
	KindMove Kind = "move"
)

// Movement is one entry of the log of a sku: who changed what is on hand, by how much and why. The
// movements of a sku add up to what was received, which is what is on hand and what is reserved.
// Reservations are no movements: they take nothing out of the house.
type Movement struct {
	ID       int64
	SKU      string
	Kind     Kind
	Delta    int64 // what is on hand changed by, and what was received
	OnHand   int64 // afterwards
	Reserved int64 // at that moment
	Reason   string
	Actor    string // the holder of the token; "" without one
	Client   string // the address and the program that sent it
	At       time.Time
}

// Before is what was on hand before the movement.
func (m Movement) Before() int64 { return m.OnHand - m.Delta }

// LogTag tells one state of the log of a sku from another, by the id of its last movement.
func LogTag(last int64) string { return fmt.Sprintf("log-%d", last) }

// Holding is what an order's live reservation holds of a sku.
type Holding struct {
	OrderID  int64
	Quantity int32
	Since    time.Time
}
