package consumer

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"waybill.example/contracts"
	"waybill.example/inventory/stock"
	"waybill.example/sdk/inbox"
)

// checkSKUs holds the skus of a valid message against what the stock API takes.
func checkSKUs(m contracts.ReserveInventory) error {
	for i, line := range m.Lines() {
		err := stock.CheckSKU(line.SKU)
		if err == nil {
			continue
		}
		field := "sku"
		if len(m.Items) > 0 {
			field = fmt.Sprintf("items[%d].sku", i)
		}
		return &contracts.FieldError{Field: field, Problem: err.Error()}
	}
	return nil
}

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
		if err := checkSKUs(m); err != nil {
			return uuid.Nil, stock.Command{}, fmt.Errorf("decode %s: %w", m.Type, err)
		}
		return m.EventID, stock.Command{Action: stock.Reserve, OrderID: m.OrderID, Lines: m.Lines()}, nil
	case contracts.ReleaseInventory:
		return m.EventID, stock.Command{Action: stock.Release, OrderID: m.OrderID}, nil
	default:
		return uuid.Nil, stock.Command{}, fmt.Errorf("%w: %s is no command to inventory", inbox.ErrSkip, message.Meta().Type)
	}
}
