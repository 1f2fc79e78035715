package httpapi

import (
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/orders/order"
)

// Item is one line of an order.
type Item struct {
	SKU      name  `json:"sku" doc:"What is ordered; at most 128 bytes" example:"burger"`
	Quantity int32 `json:"quantity" minimum:"1" maximum:"1000000" doc:"How many" example:"2"`
}

// TransformSchema documents that an order has either a sku and a quantity or items. It is said to
// readers of the document only: huma would answer that "exactly one schema" must match, and Resolve
// names the fields.
func (Draft) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	required := func(fields ...string) map[string]any { return map[string]any{"required": fields} }
	s.Extensions = map[string]any{"oneOf": []any{required("sku", "quantity"), required("items")}}
	return s
}

// Resolve finds what the schema cannot: neither form or both, and a sku that has two lines.
func (d Draft) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	switch {
	case d.Items == nil:
		return d.missing(at)
	case d.SKU != nil || d.Quantity != nil:
		return []error{&huma.ErrorDetail{
			Location: at.String(), Message: "expected either items, or sku and quantity, and not both",
		}}
	}
	return repeated(at, d.Items)
}

// missing finds what an order of one line lacks.
func (d Draft) missing(at *huma.PathBuffer) (problems []error) {
	for _, field := range []struct {
		name    string
		present bool
	}{{"sku", d.SKU != nil}, {"quantity", d.Quantity != nil}} {
		if !field.present {
			problems = append(problems, &huma.ErrorDetail{
				Location: at.String(),
				Message:  fmt.Sprintf("expected required property %s to be present, or items in place of sku and quantity", field.name),
			})
		}
	}
	return problems
}

// maxRepeated bounds the skus that one answer complains about.
const maxRepeated = 10

// repeated finds the skus that have more than one line. They are not summed up: how many were meant
// is for the client to say, and the order that is shown is the one that was sent.
func repeated(at *huma.PathBuffer, items []Item) (problems []error) {
	seen := make(map[name]int, len(items))
	for i, item := range items {
		if len(problems) == maxRepeated {
			break
		}
		if first, again := seen[item.SKU]; again && item.SKU != "" {
			problems = append(problems, &huma.ErrorDetail{
				Location: at.With(fmt.Sprintf("items[%d].sku", i)), Value: item.SKU,
				Message: fmt.Sprintf("expected each sku once, and items[%d] has it already", first),
			})
			continue
		}
		seen[item.SKU] = i
	}
	return problems
}

// lines are what a valid draft orders.
func (d Draft) lines() []order.Line {
	if d.Items == nil {
		return []order.Line{{SKU: string(*d.SKU), Quantity: *d.Quantity}}
	}
	lines := make([]order.Line, len(d.Items))
	for i, item := range d.Items {
		lines[i] = order.Line{SKU: string(item.SKU), Quantity: item.Quantity}
	}
	return lines
}
