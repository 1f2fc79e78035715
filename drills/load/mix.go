package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// Choice is one kind of order, and how often it is placed relative to the others.
type Choice struct {
	Weight   int
	SKU      string
	Quantity int32
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
		case c.SKU == "" || c.Quantity < 1:
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
