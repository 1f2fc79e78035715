package stock

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
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

// State is what became of an order's reservation, or the answer to a command.
type State string

// The states of a reservation. Only a Reserved one holds items.
const (
	Reserved State = "RESERVED"
	Rejected State = "REJECTED"
	Released State = "RELEASED"
)

// Reservation is what was decided for an order.
type Reservation struct {
	OrderID   int64
	SKU       string // "" where the release came before the request
	Quantity  int32
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
	case strings.ContainsFunc(sku, unicode.IsControl):
		return errControlSKU
	}
	return nil
}
