package contracts

import (
	"errors"
	"fmt"
)

// MaxLines is how many lines an order may have.
const MaxLines = 100

// Line is one line of an order: a sku, and how many of it.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int32  `json:"quantity"`
}

func (l Line) validate() error { return firstError(name("sku", l.SKU), quantity(l.Quantity)) }

// CheckLines returns a *[FieldError] that names the first of an order's lines that is missing or
// invalid. A sku has one line, so that how much of it an order wants is said in one place.
func CheckLines(lines []Line) error {
	switch {
	case len(lines) == 0:
		return missing("items")
	case len(lines) > MaxLines:
		return invalid("items", fmt.Sprintf("must have at most %d lines", MaxLines))
	}
	seen := make(map[string]int, len(lines))
	for i, line := range lines {
		err := line.validate()
		if first, again := seen[line.SKU]; again {
			err = invalid("sku", fmt.Sprintf("must not be that of items[%d] again", first))
		}
		if field, ok := errors.AsType[*FieldError](err); ok {
			return invalid(fmt.Sprintf("items[%d].%s", i, field.Field), field.Problem)
		}
		seen[line.SKU] = i
	}
	return nil
}
