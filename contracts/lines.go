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

// Ordered returns lines as a message carries them: one line in the fields sku and quantity, several
// in items.
func Ordered(lines []Line) (sku string, quantity int32, items []Line) {
	if len(lines) == 1 {
		return lines[0].SKU, lines[0].Quantity, nil
	}
	return "", 0, lines
}

// linesOf is the reverse of [Ordered].
func linesOf(sku string, quantity int32, items []Line) []Line {
	if len(items) > 0 {
		return items
	}
	return []Line{{SKU: sku, Quantity: quantity}}
}

// ordered checks the fields that hold an order's lines. There are two forms, and what an order
// wants has only one of them. Several lines have no sku and quantity besides: a reader that does
// not know items would take a part of the order for the whole, and now refuses it for what it
// lacks.
func ordered(sku string, n int32, items []Line) error {
	switch {
	case len(items) == 0:
		return Line{sku, n}.validate()
	case sku != "":
		return invalid("sku", "must not be beside items")
	case n != 0:
		return invalid("quantity", "must not be beside items")
	case len(items) == 1:
		return invalid("items", "must have several lines; one goes into sku and quantity")
	}
	return CheckLines(items)
}
