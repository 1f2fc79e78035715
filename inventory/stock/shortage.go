package stock

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"waybill.example/contracts"
)

// shortage is a line of an order that cannot be had.
type shortage struct {
	Line

	available int64
	known     bool // the sku exists
}

// shortages returns the lines that cannot be had from what is on hand, in their order.
func shortages(onHand map[string]int64, lines []Line) []shortage {
	var short []shortage
	for _, line := range lines {
		if available, known := onHand[line.SKU]; available < int64(line.Quantity) {
			short = append(short, shortage{line, available, known})
		}
	}
	return short
}

// rejection is why an order of so many lines is rejected. It names every line that cannot be had,
// with what was available and what was requested, in the order of the lines. What would be longer
// than a reason may be ends with a count of the lines that are not named.
func rejection(lines int, short []shortage) string {
	if lines == 1 {
		return short[0].alone()
	}
	var reason strings.Builder
	for i, s := range short {
		next, rest := s.String(), ""
		if i > 0 {
			next = "; " + next
		}
		if left := len(short) - i - 1; left > 0 {
			rest = more(left)
		}
		if utf8.RuneCountInString(reason.String()+next+rest) > contracts.MaxReasonRunes {
			reason.WriteString(more(len(short) - i))
			break
		}
		reason.WriteString(next)
	}
	return reason.String()
}

func more(n int) string { return fmt.Sprintf("; and %d more", n) }

// alone is the reason of an order of one line.
func (s shortage) alone() string {
	if !s.known {
		return fmt.Sprintf("unknown sku %q", s.SKU)
	}
	return fmt.Sprintf("insufficient stock: %d available, %d requested", s.available, s.Quantity)
}

func (s shortage) String() string {
	if !s.known {
		return fmt.Sprintf("unknown sku %q: %d requested", s.SKU, s.Quantity)
	}
	return fmt.Sprintf("insufficient stock of %q: %d available, %d requested", s.SKU, s.available, s.Quantity)
}
