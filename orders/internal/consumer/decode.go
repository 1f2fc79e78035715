package consumer

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"waybill.example/contracts"
	"waybill.example/orders/order"
	"waybill.example/sdk/inbox"
)

// decode reads a command. What is no command for an order is left to those whom it concerns.
func decode(d inbox.Delivery) (uuid.UUID, order.Command, error) {
	message, err := contracts.Decode(d.Topic, d.Value, d.Header)
	if errors.Is(err, contracts.ErrUnknownType) {
		return uuid.Nil, order.Command{}, fmt.Errorf("%w: %w", inbox.ErrSkip, err)
	}
	if err != nil {
		return uuid.Nil, order.Command{}, err
	}
	command := order.Command{OrderID: message.Meta().OrderID}
	switch m := message.(type) {
	case contracts.ConfirmOrder:
		command.Action = order.Confirm
	case contracts.CancelOrder:
		command.Action, command.Reason = order.Cancel, m.Reason
	case contracts.RefuseCancel:
		command.Action, command.Reason = order.Refuse, m.Reason
	default:
		err = fmt.Errorf("%w: %s is no command for an order", inbox.ErrSkip, message.Meta().Type)
	}
	return message.Meta().EventID, command, err
}
