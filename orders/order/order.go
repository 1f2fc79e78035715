// Package order is what an order is and what may become of it. It knows neither a database nor a
// broker nor a clock.
package order

import (
	"errors"
	"time"

	"waybill.example/contracts"
)

// Status says how far an order has come.
type Status string

// The statuses. [State.Apply] is the only way from one to another.
const (
	Pending   Status = "PENDING"
	Confirmed Status = "CONFIRMED"
	Cancelled Status = "CANCELLED"
)

// MaxTextRunes bounds a note and a reason, in Unicode code points.
const MaxTextRunes = 1000

// ErrNotFound says that there is no order of an id.
var ErrNotFound = errors.New("no such order")

// Line is one line of an order: a sku, and how many of it.
type Line = contracts.Line

// Draft is an order that a client wants to place. What it is for is a sku and a quantity where it
// has one line, and Items where it has several, each of another sku; see [Draft.Of].
type Draft struct {
	UserID   string
	SKU      string
	Quantity int32
	Items    []Line
	Note     string
}

// Of returns the draft with these lines, however many they are: an order of one line is the same
// order, to everybody, in whichever form its client has sent it.
func (d Draft) Of(lines []Line) Draft {
	d.SKU, d.Quantity, d.Items = contracts.Ordered(lines)
	return d
}

// Order is an order that was accepted.
type Order struct {
	ID int64
	Draft
	State
	CreatedAt time.Time
	UpdatedAt time.Time // when the state changed last
	// CancelRequestedAt is when a client first asked for it to be cancelled; zero where nobody did.
	CancelRequestedAt time.Time
}

// Terminal reports whether nothing is under way for the order: it is CANCELLED, or it is CONFIRMED
// and no request to cancel it waits for an answer.
func (o Order) Terminal() bool {
	switch o.Status {
	case Cancelled:
		return true
	case Confirmed:
		return o.CancelRequestedAt.IsZero() || o.CancelRefused != ""
	case Pending:
	}
	return false
}

// Progress says how far a state has come, as a number that grows with each change of status, and
// with the refusal to cancel a CONFIRMED order. It is 0 for no state only.
func (s State) Progress() int {
	switch {
	case s.Status == Cancelled:
		return 4
	case s.Status == Confirmed && s.CancelRefused != "":
		return 3
	case s.Status == Confirmed:
		return 2
	case s.Status == Pending:
		return 1
	}
	return 0
}

// Filter chooses orders; the zero value of a field means any.
type Filter struct {
	Status Status
	UserID string
}

// Page is a stretch of the orders that a filter chooses, newest first.
type Page struct {
	Before int64 // only ids below this one; 0 for the first page
	Limit  int
}
