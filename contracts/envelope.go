package contracts

import (
	"time"

	"github.com/google/uuid"
)

// Type names what a message says. It is in the body ("type") and in the ce_type header.
type Type string

// The events and commands of the order flow.
const (
	TypeOrderCreated         Type = "OrderCreated"
	TypeOrderConfirmed       Type = "OrderConfirmed"
	TypeOrderCancelled       Type = "OrderCancelled"
	TypeOrderCancelRequested Type = "OrderCancelRequested"
	TypeInventoryReserved    Type = "InventoryReserved"
	TypeInventoryRejected    Type = "InventoryRejected"
	TypeInventoryReleased    Type = "InventoryReleased"
	TypeReserveInventory     Type = "ReserveInventory"
	TypeReleaseInventory     Type = "ReleaseInventory"
	TypeConfirmOrder         Type = "ConfirmOrder"
	TypeCancelOrder          Type = "CancelOrder"
	TypeOrderCancelRefused   Type = "OrderCancelRefused"
	TypeRefuseCancel         Type = "RefuseCancel"
)

// Envelope is what every message carries.
type Envelope struct {
	// EventID identifies the message. Consumers remember it, so that a message delivered twice
	// takes effect once; a replayed message keeps it.
	EventID uuid.UUID `json:"eventId"`
	Type    Type      `json:"type"`
	// Time is when the sender's transaction made the message, in UTC.
	Time time.Time `json:"time"`
	// OrderID is the order that the message is about, and its key in Kafka.
	OrderID int64 `json:"orderId"`
	// CausationID is the EventID of the message that caused this one; zero where a client's
	// request did. Events that answer commands, and OrderCreated, carry it in the header
	// [HeaderCausationID] alone: their body does not depend on which command they answer.
	CausationID uuid.UUID `json:"causationId,omitzero"`
}

// Meta returns the envelope itself; it makes every struct that embeds an Envelope a [Message].
func (e Envelope) Meta() Envelope { return e }

// NewEnvelope starts a message about an order, caused by the message with the id cause (uuid.Nil
// where there is none). The event id is a fresh version 7 UUID (RFC 9562): it sorts by time. The
// type is filled in by [Encode].
func NewEnvelope(orderID int64, cause uuid.UUID, now time.Time) Envelope {
	return Envelope{
		EventID:     uuid.Must(uuid.NewV7()), // fails only where the system has no randomness
		Time:        now.UTC(),
		OrderID:     orderID,
		CausationID: cause,
	}
}

func (e *Envelope) envelope() *Envelope { return e }

func (e Envelope) validate() error {
	switch {
	case e.EventID == uuid.Nil:
		return missing("eventId")
	case e.Time.IsZero():
		return missing("time")
	case e.OrderID == 0:
		return missing("orderId")
	case e.OrderID < 0:
		return invalid("orderId", "must be positive")
	}
	return nil
}
