// Package orderflow makes the order saga one that a runner can run: it translates between the
// engine and the messages of contracts.
package orderflow

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"waybill.example/contracts"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
)

// Topics are those that the messages for order sagas come on.
func Topics() []string { return []string{contracts.TopicOrders, contracts.TopicInventory} }

// Definitions are the versions of the order saga. A new version is added beside the old, which
// stays until its last saga has ended.
func Definitions(t ordersaga.Timing) ([]*saga.Definition, error) {
	order, err := ordersaga.Definition(t)
	if err != nil {
		return nil, err
	}
	return []*saga.Definition{order}, nil
}

// Codec is the runner.Codec of the order flow.
type Codec struct{}

// Decode implements runner.Codec. A message of a type that the contracts here do not have is
// skipped, unless it answers a command: a newer version of the definition may know it.
func (Codec) Decode(d inbox.Delivery) (saga.Message, error) {
	m, err := contracts.Decode(d.Topic, d.Value, d.Header)
	if errors.Is(err, contracts.ErrUnknownType) {
		message, ok := ordersaga.Unknown(d.Key, d.Value, d.Header)
		if !ok {
			return saga.Message{}, fmt.Errorf("%w: %w", inbox.ErrSkip, err)
		}
		return message, nil
	}
	if err != nil {
		return saga.Message{}, err
	}
	message := ordersaga.Message(m, d.Value, d.Header(contracts.HeaderTraceParent))
	message = ordersaga.Answering(message, d.Header(contracts.HeaderInReplyTo))
	if message.CausationID == uuid.Nil && ordersaga.IsReply(m.Meta().Type) {
		return saga.Message{}, &contracts.FieldError{Field: "causationId", Problem: "is missing: a reply names its command"}
	}
	return message, nil
}

// Encode implements runner.Codec.
func (Codec) Encode(_ saga.Ref, c saga.Command) (outbox.Message, error) {
	record, err := ordersaga.Encode(c)
	return outbox.Message(record), err
}

// Content is what of a message must be the same whenever it comes under one id.
func Content(d inbox.Delivery) []byte { return contracts.Content(d.Value) }

// Message makes what a service that embeds the saga gives to it (runner.Start, runner.Deliver) out
// of an event that it does not publish. The trace is a traceparent, or empty.
func Message(m contracts.Message, trace string) (saga.Message, error) {
	record, err := contracts.Encode(m)
	if err != nil {
		return saga.Message{}, err
	}
	message := ordersaga.Message(m, record.Payload, trace)
	message.Type = record.Type
	return message, nil
}
