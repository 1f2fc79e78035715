package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"waybill.example/contracts"
	"waybill.example/drills/load"
)

// items are what an order asks for, or what a reservation holds: a sku and a quantity, or several
// lines.
type items struct {
	SKU      string
	Quantity int32
	Lines    []contracts.Line
}

// asked is what a client has ordered.
func asked(e load.Entry) items { return items{e.SKU, e.Quantity, e.Items} }

// String implements [fmt.Stringer]: how many of what, of each line.
func (i items) String() string {
	if len(i.Lines) == 0 {
		return fmt.Sprintf("%d × %q", i.Quantity, i.SKU)
	}
	all := make([]string, len(i.Lines))
	for n, line := range i.Lines {
		all[n] = fmt.Sprintf("%d × %q", line.Quantity, line.SKU)
	}
	return strings.Join(all, " and ")
}

// same reports whether both are the same lines, in whatever order.
func (i items) same(other items) bool {
	return i.SKU == other.SKU && i.Quantity == other.Quantity && slices.Equal(bySKU(i.Lines), bySKU(other.Lines))
}

func bySKU(lines []contracts.Line) []contracts.Line {
	return slices.SortedFunc(slices.Values(lines), func(a, b contracts.Line) int { return cmp.Compare(a.SKU, b.SKU) })
}
