package load

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"waybill.example/contracts"
)

// Choice is one kind of order, and how often it is placed relative to the others. It has a SKU and
// a quantity, or Items in their place.
type Choice struct {
	Weight   int
	SKU      string
	Quantity int32
	Items    []contracts.Line
}

// Mix is what a load is made of.
type Mix []Choice

// errEmptyMix says that there is nothing to choose from.
var errEmptyMix = errors.New("the mix of orders is empty: at least one choice needs a positive weight")

// Validate says what makes a mix unusable.
func (m Mix) Validate() error {
	total := 0
	for _, c := range m {
		switch {
		case c.Weight < 0:
			return fmt.Errorf("the weight of %q must not be negative", c.SKU)
		case len(c.Items) > 0 && c.SKU == "" && c.Quantity == 0:
			if err := contracts.CheckLines(c.Items); err != nil {
				return fmt.Errorf("an order of several lines: %w", err)
			}
		case c.SKU == "" || c.Quantity < 1 || len(c.Items) > 0:
			return fmt.Errorf("an order needs a sku and a quantity, not %q and %d", c.SKU, c.Quantity)
		}
		total += c.Weight
	}
	if total == 0 {
		return errEmptyMix
	}
	return nil
}

// pick draws a choice.
func (m Mix) pick(r *rand.Rand) Choice {
	total := 0
	for _, c := range m {
		total += c.Weight
	}
	n := r.IntN(total)
	for _, c := range m {
		if n < c.Weight {
			return c
		}
		n -= c.Weight
	}
	panic("load: a mix that was not validated")
}
