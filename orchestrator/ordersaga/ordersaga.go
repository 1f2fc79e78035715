// Package ordersaga is the workflow of an order, written down for the saga
// engine: reserve the items, then confirm the order; and when that cannot be,
// give the items back and cancel it.
package ordersaga

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/tracecontext"
)

// Name is the definition's name.
const Name = "order"

// Timing is what differs between a production system and a drill.
type Timing struct {
	// ReserveWithin is how long the first ReserveInventory waits for Inventory.
	// Kafka keeps a command for a participant that is down or behind, so asking
	// again helps only against a lost message: the wait is long on purpose.
	ReserveWithin time.Duration `env:"RESERVE_DEADLINE" envDefault:"15s"`
	// ReserveAttempts is how often Inventory is asked before the order is cancelled.
	ReserveAttempts int `env:"RESERVE_ATTEMPTS" envDefault:"4"`
	// ReplyWithin is the first wait for the replies that must come in the end.
	ReplyWithin time.Duration `env:"REPLY_DEADLINE" envDefault:"15s"`
	// CancelWindow is how long after CONFIRMED an order can still be cancelled.
	CancelWindow time.Duration `env:"CANCEL_WINDOW" envDefault:"24h"`
}

// DefaultTiming is the timing of the environment's defaults.
func DefaultTiming() Timing {
	return Timing{
		ReserveWithin: 15 * time.Second, ReserveAttempts: 4,
		ReplyWithin: 15 * time.Second, CancelWindow: 24 * time.Hour,
	}
}

// Validate returns every problem of the timing at once, by the names of the settings.
func (t Timing) Validate() []error {
	var problems []error
	check := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, errors.New(problem))
		}
	}
	check(t.ReserveWithin > 0, "RESERVE_DEADLINE must be positive")
	check(t.ReserveAttempts > 0, "RESERVE_ATTEMPTS must be positive")
	check(t.ReplyWithin > 0, "REPLY_DEADLINE must be positive")
	check(t.CancelWindow >= 0, "CANCEL_WINDOW must not be negative")
	return problems
}

// Order is what the saga remembers of the order. An order of one line has a sku and a quantity, as
// every order had before there were items: such sagas are the same to old and to new orchestrators,
// so items need no new version of the definition.
type Order struct {
	OrderID  int64            `json:"orderId"`
	UserID   string           `json:"userId"`
	SKU      string           `json:"sku,omitempty"`
	Quantity int32            `json:"quantity,omitempty"`
	Items    []contracts.Line `json:"items,omitempty"`
}

// Definition returns the current version of the order saga.
func Definition(t Timing) (*saga.Definition, error) {
	s := saga.Define[Order](Name, 1)
	s.StartOn(string(contracts.TypeOrderCreated), saga.From(accepted))
	s.CancelOn(string(contracts.TypeOrderCancelRequested), t.CancelWindow, saga.From(cancelReason))
	s.RefuseCancel(string(contracts.TypeRefuseCancel), refuseCancel)
	s.Ends("CONFIRMED", "CANCELLED")
	saga.Attribute(s, "sku", func(o Order) string { return o.SKU })
	s.To(contracts.TopicOrderCommands)

	patient := saga.RetryPolicy{Timeout: t.ReplyWithin, MaxAttempts: 8, MaxInterval: 4 * t.ReplyWithin}

	s.Step("order").
		AlreadyDone("Orders has accepted it: it is PENDING").
		Undo(string(contracts.TypeCancelOrder), cancelOrder, string(contracts.TypeOrderCancelled), patient)

	s.Step("reserve").
		Send(string(contracts.TypeReserveInventory), reserveInventory).
		To(contracts.TopicInventoryCommands).
		Success(string(contracts.TypeInventoryReserved)).
		Failure(string(contracts.TypeInventoryRejected), saga.From(rejectReason)).
		Wait(saga.RetryPolicy{Timeout: t.ReserveWithin, MaxAttempts: t.ReserveAttempts, MaxInterval: 4 * t.ReserveWithin},
			"inventory did not answer").
		Undo(string(contracts.TypeReleaseInventory), releaseInventory, string(contracts.TypeInventoryReleased), patient)

	s.Step("confirm").
		Send(string(contracts.TypeConfirmOrder), confirmOrder).
		Success(string(contracts.TypeOrderConfirmed)).
		Failure(string(contracts.TypeOrderCancelled), saga.From(cancelledReason)).
		RetryForever(patient).
		NoUndo("cancelling the order takes its confirmation back")

	return s.Build()
}

func accepted(m contracts.OrderCreated) Order {
	return Order{OrderID: m.OrderID, UserID: m.UserID, SKU: m.SKU, Quantity: m.Quantity, Items: m.Items}
}

func rejectReason(m contracts.InventoryRejected) string { return m.Reason }

func cancelReason(m contracts.OrderCancelRequested) string { return m.Reason }

// cancelledReason is why an order that was to be confirmed is cancelled instead.
func cancelledReason(m contracts.OrderCancelled) string { return m.Reason }

func reserveInventory(c saga.Call[Order]) (any, error) {
	return contracts.ReserveInventory{
		Envelope: envelope(c), SKU: c.Data.SKU, Quantity: c.Data.Quantity, Items: c.Data.Items,
	}, nil
}

func releaseInventory(c saga.Call[Order]) (any, error) {
	return contracts.ReleaseInventory{Envelope: envelope(c)}, nil
}

func confirmOrder(c saga.Call[Order]) (any, error) {
	return contracts.ConfirmOrder{Envelope: envelope(c)}, nil
}

func cancelOrder(c saga.Call[Order]) (any, error) {
	return contracts.CancelOrder{Envelope: envelope(c), Reason: contracts.Reason(c.Reason)}, nil
}

// refuseCancel is sent for orders without a saga, too: their id is all that is known.
func refuseCancel(c saga.Call[Order]) (any, error) {
	id, err := strconv.ParseInt(c.Saga, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the saga's id is no order id: %w", err)
	}
	c.Data.OrderID = id
	return contracts.RefuseCancel{Envelope: envelope(c), Reason: contracts.Reason(c.Reason)}, nil
}

func envelope(c saga.Call[Order]) contracts.Envelope {
	return contracts.Envelope{EventID: c.ID, Time: c.At, OrderID: c.Data.OrderID, CausationID: c.Cause}
}

// Message turns an event of the order flow into one that the engine knows.
// trace is its traceparent header; one that is none is left out.
func Message(m contracts.Message, payload []byte, trace string) saga.Message {
	meta := m.Meta()
	return saga.Message{
		Trace: tracecontext.Parse(trace), Time: meta.Time,
		ID: meta.EventID, Type: string(meta.Type), Key: strconv.FormatInt(meta.OrderID, 10),
		CausationID: meta.CausationID, Data: payload,
	}
}

// Answering returns m as the reply to a command: an event that is sent again names the command that
// asked for it again in a header (contracts.HeaderInReplyTo), while its id and its body stay as
// they were. For the saga a reply to another command is another message, so it has an id made of
// both.
func Answering(m saga.Message, inReplyTo string) saga.Message {
	command, err := uuid.Parse(inReplyTo)
	if err != nil || command == uuid.Nil || command == m.CausationID {
		return m
	}
	m.ID = contracts.ReplyID(m.ID, command)
	m.CausationID = command
	return m
}

// IsReply reports whether Inventory and Orders send a type in answer to a command only, and then
// name the command as its cause. One without a cause was sent by somebody else.
func IsReply(t contracts.Type) bool {
	switch t {
	case contracts.TypeInventoryReserved, contracts.TypeInventoryRejected, contracts.TypeInventoryReleased,
		contracts.TypeOrderConfirmed, contracts.TypeOrderCancelled:
		return true
	default:
		return false
	}
}

// Unknown reads a message of a type that the contracts here do not have. Only
// one that answers a command can matter: it is of a newer version.
func Unknown(key, payload []byte, header func(name string) string) (saga.Message, bool) {
	var envelope contracts.Envelope
	if json.Unmarshal(payload, &envelope) != nil || envelope.EventID == uuid.Nil || envelope.Type == "" {
		return saga.Message{}, false
	}
	if envelope.CausationID == uuid.Nil {
		envelope.CausationID, _ = uuid.Parse(header(contracts.HeaderCausationID)) // else it answers nothing
	}
	m := saga.Message{
		ID: envelope.EventID, Type: string(envelope.Type), Key: string(key), CausationID: envelope.CausationID,
		Time: envelope.Time, Data: payload,
	}
	m = Answering(m, header(contracts.HeaderInReplyTo))
	return m, m.CausationID != uuid.Nil && m.Key != ""
}

// Encode turns a command of the engine into a record for the outbox.
func Encode(c saga.Command) (contracts.Record, error) {
	m, ok := c.Body.(contracts.Message)
	if !ok {
		return contracts.Record{}, fmt.Errorf("encode %s: %T is no message of the contracts", c.Type, c.Body)
	}
	record, err := contracts.Encode(m)
	if err != nil {
		return contracts.Record{}, err
	}
	record.Headers = tracecontext.Set(record.Headers, c.Trace)
	return record, nil
}
