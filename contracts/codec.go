package contracts

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Record is a message ready to travel. It has the fields of an outbox row, so that a service
// converts one with outbox.Message(record).
type Record struct {
	EventID uuid.UUID
	Topic   string
	Key     string // the order id in decimal
	Type    string
	Payload []byte            // JSON
	Headers map[string]string // the causation id where there is one, else nil; the relay adds the CloudEvents headers
}

// kind is what the codec knows of a message type.
type kind struct {
	topic  string
	encode func(Message) ([]byte, error)
	decode func(payload []byte, cause uuid.UUID) (Message, error)
}

// fixedBody marks the messages without a causationId in their JSON: three whose JSON clients depend
// on to the byte, and those that are the same event, with the same body, in answer to whatever
// command.
const fixedBody = true

var kinds = map[Type]kind{
	TypeOrderCreated:         of[OrderCreated](TopicOrders, fixedBody),
	TypeOrderConfirmed:       of[OrderConfirmed](TopicOrders, fixedBody),
	TypeOrderCancelled:       of[OrderCancelled](TopicOrders, fixedBody),
	TypeOrderCancelRequested: of[OrderCancelRequested](TopicOrders, !fixedBody),
	TypeInventoryReserved:    of[InventoryReserved](TopicInventory, fixedBody),
	TypeInventoryRejected:    of[InventoryRejected](TopicInventory, fixedBody),
	TypeInventoryReleased:    of[InventoryReleased](TopicInventory, fixedBody),
	TypeReserveInventory:     of[ReserveInventory](TopicInventoryCommands, !fixedBody),
	TypeReleaseInventory:     of[ReleaseInventory](TopicInventoryCommands, !fixedBody),
	TypeConfirmOrder:         of[ConfirmOrder](TopicOrderCommands, !fixedBody),
	TypeCancelOrder:          of[CancelOrder](TopicOrderCommands, !fixedBody),
	TypeOrderCancelRefused:   of[OrderCancelRefused](TopicOrders, !fixedBody),
	TypeRefuseCancel:         of[RefuseCancel](TopicOrderCommands, !fixedBody),
}

// enveloped is satisfied by a pointer to each message struct: it reaches the envelope inside.
type enveloped[M Message] interface {
	*M
	envelope() *Envelope
}

func of[M Message, P enveloped[M]](topic string, fixed bool) kind {
	return kind{
		topic: topic,
		encode: func(msg Message) ([]byte, error) {
			m := msg.(M)
			e := P(&m).envelope()
			e.Type = m.is()
			if fixed {
				e.CausationID = uuid.Nil
			}
			return json.Marshal(m)
		},
		decode: func(payload []byte, cause uuid.UUID) (Message, error) {
			var m M
			if err := json.Unmarshal(payload, &m); err != nil {
				return nil, named(payload, err)
			}
			if e := P(&m).envelope(); e.CausationID == uuid.Nil {
				e.CausationID = cause
			}
			if err := m.Validate(); err != nil {
				return nil, err
			}
			return m, nil
		},
	}
}

// TopicOf returns the topic that messages of a type travel on, and whether the type is known.
func TopicOf(t Type) (topic string, known bool) {
	k, known := kinds[t]
	return k.topic, known
}

// Encode validates a message and returns it ready for an outbox. The envelope's type is set from
// the message's Go type. It returns a *[FieldError] for an invalid message.
func Encode(m Message) (Record, error) {
	meta, t := m.Meta(), m.is()
	if err := m.Validate(); err != nil {
		return Record{}, fmt.Errorf("encode %s of order %d: %w", t, meta.OrderID, err)
	}
	payload, err := kinds[t].encode(m)
	if err != nil {
		return Record{}, fmt.Errorf("encode %s of order %d: %w", t, meta.OrderID, err)
	}
	r := Record{
		EventID: meta.EventID,
		Topic:   kinds[t].topic,
		Key:     strconv.FormatInt(meta.OrderID, 10),
		Type:    string(t),
		Payload: payload,
	}
	if meta.CausationID != uuid.Nil {
		r.Headers = map[string]string{HeaderCausationID: meta.CausationID.String()}
	}
	return r, nil
}

// Decode parses and validates a message received from topic. header returns a Kafka header's value,
// "" where it is absent; a causation id is taken from there if the body has none. An error that
// wraps [ErrUnknownType] means skip; every other error means that the message can never be applied
// and belongs in the dead letter topic.
//
// A message is believed only where it may come from: who may write a topic is decided by the
// broker's ACLs, so a type on another topic than its own ([TopicOf]) is refused, and so is a
// message whose id or type in the headers is not that of its body.
func Decode(topic string, payload []byte, header func(name string) string) (Message, error) {
	if err := interoperable(payload); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	// A malformed causation header is no reason to refuse a valid message.
	cause, _ := uuid.Parse(header(HeaderCausationID))
	m, err := decodeAs(Type(header(HeaderType)), payload, cause)
	if err != nil {
		return nil, err
	}
	if err := agrees(m.Meta(), topic, header); err != nil {
		return nil, fmt.Errorf("decode %s: %w", m.Meta().Type, err)
	}
	return m, nil
}

// decodeAs reads most messages once: they are what their header says. Whatever differs from it, or
// fails, is read again for what it is.
func decodeAs(hint Type, payload []byte, cause uuid.UUID) (Message, error) {
	if k, known := kinds[hint]; known {
		if m, err := k.decode(payload, cause); err == nil && m.Meta().Type == hint {
			return m, nil
		}
	}
	return decode(payload, cause)
}

// headerRedriven is on a dead letter that is given back to its consumer. Where the message that it
// holds had no id or type in its headers, those are the dead letter's own.
const headerRedriven = "waybill-dlq-topic"

// agrees holds the body against what the broker and the headers say of it.
func agrees(meta Envelope, topic string, header func(name string) string) error {
	if own, _ := TopicOf(meta.Type); topic != own {
		return &TopicError{Type: meta.Type, Own: own, Topic: topic}
	}
	id, kind := header(HeaderID), header(HeaderType)
	if id == "" && kind == "" || header(headerRedriven) != "" {
		return nil
	}
	if kind != "" && kind != string(meta.Type) {
		return invalid("type", fmt.Sprintf("must be the header %s, %q", HeaderType, kind))
	}
	if parsed, err := uuid.Parse(id); err == nil && parsed != meta.EventID {
		return invalid("eventId", fmt.Sprintf("must be the header %s, %s", HeaderID, parsed))
	}
	return nil
}

func decode(payload []byte, cause uuid.UUID) (Message, error) {
	var head struct {
		Type Type `json:"type"`
	}
	if err := json.Unmarshal(payload, &head); err != nil {
		return nil, fmt.Errorf("decode message: %w", named(payload, err))
	}
	if head.Type == "" {
		return nil, fmt.Errorf("decode message: %w", missing("type"))
	}
	k, known := kinds[head.Type]
	if !known {
		return nil, fmt.Errorf("decode message: %w %q", ErrUnknownType, head.Type)
	}
	m, err := k.decode(payload, cause)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", head.Type, err)
	}
	return m, nil
}

// named turns an error of encoding/json into one that names the invalid field, if there is one.
func named(payload []byte, err error) error {
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrongType.Field == "" {
			return fmt.Errorf("the message must be a JSON object, not a %s", wrongType.Value)
		}
		field := strings.TrimPrefix(wrongType.Field, "Envelope.")
		return invalid(field, fmt.Sprintf("must not be a JSON %s", wrongType.Value))
	}
	// A value that refuses its own text (a UUID, a time) does not say where it stood.
	var fields map[string]json.RawMessage
	if json.Unmarshal(payload, &fields) != nil {
		return err // not JSON at all
	}
	for _, field := range []string{"eventId", "causationId"} {
		if raw, ok := fields[field]; ok && json.Unmarshal(raw, new(uuid.UUID)) != nil {
			return invalid(field, "must be a UUID")
		}
	}
	if raw, ok := fields["time"]; ok && json.Unmarshal(raw, new(time.Time)) != nil {
		return invalid("time", "must be an RFC 3339 time")
	}
	return err
}
