package stock

import (
	"time"

	"waybill.example/contracts"
)

// Event is the reply to a command of an order as what travels: it tells what became of the order's
// reservation, and since when that is so.
func (r Reply) Event(orderID int64, since time.Time) contracts.Message {
	switch r.State {
	case Reserved:
		return contracts.InventoryReserved{Envelope: contracts.NewEvent(orderID, contracts.TypeInventoryReserved, since), Reserved: true}
	case Rejected:
		return contracts.InventoryRejected{Envelope: contracts.NewEvent(orderID, contracts.TypeInventoryRejected, since), Reason: r.Reason}
	case Released:
	}
	return contracts.InventoryReleased{Envelope: contracts.NewEvent(orderID, contracts.TypeInventoryReleased, since)}
}
