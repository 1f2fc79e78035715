package consumer

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/google/uuid"

	"waybill.example/contracts"
	"waybill.example/inventory/stock"
	"waybill.example/sdk/inbox"
)

// decode reads one command. What other services may talk about on this topic one day is skipped.
func decode(d inbox.Delivery) (uuid.UUID, stock.Command, error) {
	message, err := contracts.Decode(d.Topic, d.Value, d.Header)
	if errors.Is(err, contracts.ErrUnknownType) {
		return uuid.Nil, stock.Command{}, fmt.Errorf("%w: %w", inbox.ErrSkip, err)
	}
	if err != nil {
		return uuid.Nil, stock.Command{}, err
	}
	switch m := message.(type) {
	case contracts.ReserveInventory:
		if err := stock.CheckSKU(m.SKU); err != nil {
			return uuid.Nil, stock.Command{}, fmt.Errorf("decode %s: %w", m.Type, &contracts.FieldError{Field: "sku", Problem: err.Error()})
		}
		return m.EventID, stock.Command{Action: stock.Reserve, OrderID: m.OrderID, SKU: m.SKU, Quantity: m.Quantity}, nil
	case contracts.ReleaseInventory:
		return m.EventID, stock.Command{Action: stock.Release, OrderID: m.OrderID}, nil
	default:
		return uuid.Nil, stock.Command{}, fmt.Errorf("%w: %s is no command to inventory", inbox.ErrSkip, message.Meta().Type)
	}
}

// A traceparent of W3C Trace Context, of any version.
var traceParentForm = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,64})?$`)

// traceParent returns the delivery's traceparent, so that the answer belongs to the same trace; ""
// where it has none that makes sense.
func traceParent(d inbox.Delivery) string {
	if trace := d.Header(contracts.HeaderTraceParent); traceParentForm.MatchString(trace) {
		return trace
	}
	return ""
}
