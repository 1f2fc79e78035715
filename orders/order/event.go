package order

import (
	"time"

	"waybill.example/contracts"
)

// Answer is the event that answers a command, whatever the command wanted: it says what its order
// is now, and since when. A refusal to cancel is published once, at the time of the refusal; every
// other refusal has no answer (nil).
func Answer(c Command, now State, outcome Outcome, since, at time.Time) contracts.Message {
	switch {
	case c.Action == Refuse && outcome == Changed:
		return contracts.OrderCancelRefused{
			Envelope: contracts.NewEvent(c.OrderID, contracts.TypeOrderCancelRefused, at), Reason: now.CancelRefused,
		}
	case c.Action == Refuse:
		return nil
	case now.Status == Cancelled:
		return contracts.OrderCancelled{
			Envelope: contracts.NewEvent(c.OrderID, contracts.TypeOrderCancelled, since), Reason: now.Reason,
		}
	}
	return contracts.OrderConfirmed{Envelope: contracts.NewEvent(c.OrderID, contracts.TypeOrderConfirmed, since)}
}

// Event is the event that asks the order's saga to cancel it.
func (c Cancellation) Event(at time.Time) contracts.Message {
	return contracts.OrderCancelRequested{
		Envelope: contracts.NewEvent(c.OrderID, contracts.TypeOrderCancelRequested, at), Reason: c.Reason,
	}
}
