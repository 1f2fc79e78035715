package contracts

import "unicode/utf8"

// Limits of the order's fields, the same in the HTTP API and in the messages.
const (
	MaxNameBytes = 128       // userId and sku
	MaxQuantity  = 1_000_000 // of one line of an order
)

// Message is one of the structs of this package, and nothing else: the set is closed.
type Message interface {
	// Meta returns the message's envelope.
	Meta() Envelope
	// Validate returns a *[FieldError] that names the first field which is missing or invalid.
	Validate() error
	// is returns the type that the struct stands for; [Encode] writes it into the envelope.
	is() Type
}

// OrderCreated says that an order was accepted and is PENDING. An order of one line has a sku and a
// quantity, one of several has items in their place; see [Ordered].
type OrderCreated struct {
	Envelope
	UserID   string `json:"userId"`
	SKU      string `json:"sku,omitempty"`
	Quantity int32  `json:"quantity,omitempty"`
	Items    []Line `json:"items,omitempty"`
}

// Lines are the order's lines, one per sku.
func (m OrderCreated) Lines() []Line { return linesOf(m.SKU, m.Quantity, m.Items) }

// OrderConfirmed says that an order reached CONFIRMED.
type OrderConfirmed struct{ Envelope }

// OrderCancelled says that an order reached CANCELLED, and why.
type OrderCancelled struct {
	Envelope
	Reason string `json:"reason,omitempty"`
}

// OrderCancelRequested says that a client asked to cancel an order.
type OrderCancelRequested struct {
	Envelope
	Reason string `json:"reason,omitempty"`
}

// OrderCancelRefused says that a cancellation that a client asked for is not granted, and why, in
// words that the client may see: its order goes on as it is.
type OrderCancelRefused struct {
	Envelope
	Reason string `json:"reason"`
}

// InventoryReserved answers ReserveInventory: the items are set aside. Reserved is true.
type InventoryReserved struct {
	Envelope
	Reserved bool   `json:"reserved"`
	Reason   string `json:"reason,omitempty"`
}

// InventoryRejected answers ReserveInventory: nothing was set aside, and Reason says why in words
// that a client may see. Reserved is false.
type InventoryRejected struct {
	Envelope
	Reserved bool   `json:"reserved"`
	Reason   string `json:"reason,omitempty"`
}

// InventoryReleased answers ReleaseInventory: nothing is set aside for the order any more.
type InventoryReleased struct{ Envelope }

// ReserveInventory asks Inventory to set items aside for an order: all of its lines, or none. The
// lines are as in [OrderCreated].
type ReserveInventory struct {
	Envelope
	SKU      string `json:"sku,omitempty"`
	Quantity int32  `json:"quantity,omitempty"`
	Items    []Line `json:"items,omitempty"`
}

// Lines are what is to be set aside, one line per sku.
func (m ReserveInventory) Lines() []Line { return linesOf(m.SKU, m.Quantity, m.Items) }

// ReleaseInventory asks Inventory to give back what it set aside for an order, if anything.
type ReleaseInventory struct{ Envelope }

// ConfirmOrder asks Orders to make a PENDING order CONFIRMED.
type ConfirmOrder struct{ Envelope }

// CancelOrder asks Orders to make an order CANCELLED for the given reason.
type CancelOrder struct {
	Envelope
	Reason string `json:"reason"`
}

// RefuseCancel tells Orders that a cancellation that a client asked for is not granted, for the
// given reason. It changes nothing but what the client is shown, and is not answered.
type RefuseCancel struct {
	Envelope
	Reason string `json:"reason"`
}

func (OrderCreated) is() Type         { return TypeOrderCreated }
func (OrderConfirmed) is() Type       { return TypeOrderConfirmed }
func (OrderCancelled) is() Type       { return TypeOrderCancelled }
func (OrderCancelRequested) is() Type { return TypeOrderCancelRequested }
func (InventoryReserved) is() Type    { return TypeInventoryReserved }
func (InventoryRejected) is() Type    { return TypeInventoryRejected }
func (InventoryReleased) is() Type    { return TypeInventoryReleased }
func (ReserveInventory) is() Type     { return TypeReserveInventory }
func (ReleaseInventory) is() Type     { return TypeReleaseInventory }
func (ConfirmOrder) is() Type         { return TypeConfirmOrder }
func (CancelOrder) is() Type          { return TypeCancelOrder }
func (OrderCancelRefused) is() Type   { return TypeOrderCancelRefused }
func (RefuseCancel) is() Type         { return TypeRefuseCancel }

// Validate implements [Message]; messages without fields of their own need a valid envelope only.
func (e Envelope) Validate() error { return e.validate() }

// Validate implements [Message].
func (m OrderCreated) Validate() error {
	return firstError(m.validate(), name("userId", m.UserID), ordered(m.SKU, m.Quantity, m.Items))
}

// Validate implements [Message].
func (m ReserveInventory) Validate() error {
	return firstError(m.validate(), ordered(m.SKU, m.Quantity, m.Items))
}

// Validate implements [Message].
func (m InventoryReserved) Validate() error {
	if err := m.validate(); err != nil {
		return err
	}
	if !m.Reserved {
		return invalid("reserved", "must be true in InventoryReserved")
	}
	return optionalReason(m.Reason)
}

// Validate implements [Message].
func (m InventoryRejected) Validate() error {
	if err := m.validate(); err != nil {
		return err
	}
	if m.Reserved {
		return invalid("reserved", "must be false in InventoryRejected")
	}
	return optionalReason(m.Reason)
}

// Validate implements [Message].
func (m CancelOrder) Validate() error { return firstError(m.validate(), reason(m.Reason)) }

// Validate implements [Message].
func (m OrderCancelled) Validate() error { return firstError(m.validate(), optionalReason(m.Reason)) }

// Validate implements [Message].
func (m OrderCancelRequested) Validate() error {
	return firstError(m.validate(), optionalReason(m.Reason))
}

// Validate implements [Message].
func (m OrderCancelRefused) Validate() error { return firstError(m.validate(), reason(m.Reason)) }

// Validate implements [Message].
func (m RefuseCancel) Validate() error { return firstError(m.validate(), reason(m.Reason)) }

func reason(text string) error {
	if text == "" {
		return missing("reason")
	}
	return optionalReason(text)
}

func optionalReason(text string) error {
	if len(text) > MaxReasonRunes && utf8.RuneCountInString(text) > MaxReasonRunes {
		return invalid("reason", "must be at most 1000 characters")
	}
	return plain("reason", text)
}

func name(field, value string) error {
	switch {
	case value == "":
		return missing(field)
	case len(value) > MaxNameBytes:
		return invalid(field, "must be at most 128 bytes")
	case !utf8.ValidString(value):
		return invalid(field, "must be UTF-8")
	}
	return plain(field, value)
}

func quantity(n int32) error {
	switch {
	case n == 0:
		return missing("quantity")
	case n < 1 || n > MaxQuantity:
		return invalid("quantity", "must be from 1 to 1000000")
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
