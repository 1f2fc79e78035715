package stock

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"waybill.example/contracts"
)

// Limits of what the stock API takes.
const (
	MaxSKUBytes = 128
	MaxOnHand   = 1_000_000_000_000
)

// ErrNotFound is wrapped by the error for a sku or a reservation that does not exist.
var ErrNotFound = errors.New("not found")

// Level is how much there is of one sku.
type Level struct {
	SKU       string
	OnHand    int64 // what the next order can have
	Received  int64 // what was ever put in, less what counts took away
	UpdatedAt time.Time
}

// Reserved is what live reservations hold.
func (l Level) Reserved() int64 { return l.Received - l.OnHand }

// Page says which levels to list: at most Limit, of skus after one.
type Page struct {
	After string // "" begins
	Limit int
	Below int64 // only skus of which fewer are on hand; 0: all
}

// State is what became of an order's reservation, or the answer to a command.
type State string

// The states of a reservation. Only a Reserved one holds items.
const (
	Reserved State = "RESERVED"
	Rejected State = "REJECTED"
	Released State = "RELEASED"
)

// Line is one line of an order: a sku, and how many of it.
type Line = contracts.Line

// Reservation is what was decided for an order: all of its lines, or none, are reserved.
type Reservation struct {
	OrderID   int64
	Lines     []Line // one per sku; none where the release came before the request
	State     State
	Reason    string // why it was rejected
	CreatedAt time.Time
	UpdatedAt time.Time
}

var (
	errEmptySKU   = errors.New("must not be empty")
	errLongSKU    = fmt.Errorf("must be at most %d bytes", MaxSKUBytes)
	errTextSKU    = errors.New("must be UTF-8")
	errControlSKU = errors.New("must not hold control characters")
)

// CheckSKU returns an error that says why a sku cannot be one, without naming the sku itself.
func CheckSKU(sku string) error {
	switch {
	case sku == "":
		return errEmptySKU
	case len(sku) > MaxSKUBytes:
		return errLongSKU
	case !utf8.ValidString(sku):
		return errTextSKU
	case contracts.CheckLines([]Line{{SKU: sku, Quantity: 1}}) != nil: // a sku that no order could name
		return errControlSKU
	}
	return nil
}

// CheckLines returns an error that names the first line that an order cannot have: a
// *[contracts.FieldError].
func CheckLines(lines []Line) error {
	if err := contracts.CheckLines(lines); err != nil {
		return err
	}
	for i, line := range lines {
		if err := CheckSKU(line.SKU); err != nil {
			return &contracts.FieldError{Field: fmt.Sprintf("items[%d].sku", i), Problem: err.Error()}
		}
	}
	return nil
}

// sameLines reports whether two orders ask for the same, whatever the order of their lines.
func sameLines(a, b []Line) bool {
	if len(a) != len(b) {
		return false
	}
	if slices.Equal(a, b) {
		return true
	}
	bySKU := func(a, b Line) int { return cmp.Compare(a.SKU, b.SKU) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), bySKU), slices.SortedFunc(slices.Values(b), bySKU))
}
