package inbox

import (
	"strconv"

	"github.com/google/uuid"

	"waybill/outbox"
)

// Headers that a dead letter carries besides the message's own: where it stood and why it is here.
const (
	HeaderDeadLetterReason    = "waybill-dlq-reason"
	HeaderDeadLetterConsumer  = "waybill-dlq-consumer"
	HeaderDeadLetterTopic     = "waybill-dlq-topic"
	HeaderDeadLetterPartition = "waybill-dlq-partition"
	HeaderDeadLetterOffset    = "waybill-dlq-offset"
)

// TypeDeadLetter is the message type of a dead letter whose own type is not known.
const TypeDeadLetter = "DeadLetter"

// The CloudEvents attributes that the relay writes from an outbox row's columns.
const (
	headerID   = "ce_id"
	headerType = "ce_type"
)

// DeadLetter returns the outbox message that sets a delivery aside in <topic>.dlq: the same key,
// value, id and headers, and headers that say where it stood, which consumer could not apply it
// and why. Headers and keys that are not text cannot be stored and are left out.
func DeadLetter(d Delivery, consumer string, reason error) outbox.Message {
	letter := outbox.Message{
		EventID: d.PlaceID(),
		Topic:   d.Topic + ".dlq",
		Type:    TypeDeadLetter,
		Payload: d.Value,
		Headers: make(map[string]string, len(d.Headers)+5),
	}
	if key := string(d.Key); storable(key) {
		letter.Key = key
	}
	if id, err := uuid.Parse(d.Header(headerID)); err == nil {
		letter.EventID = id
	}
	if kind := d.Header(headerType); kind != "" && storable(kind) {
		letter.Type = kind
	}
	for _, h := range d.Headers {
		value := string(h.Value)
		if h.Key != headerID && h.Key != headerType && storable(h.Key) && storable(value) {
			letter.Headers[h.Key] = value
		}
	}
	letter.Headers[HeaderDeadLetterReason] = text(reason.Error())
	letter.Headers[HeaderDeadLetterConsumer] = consumer
	letter.Headers[HeaderDeadLetterTopic] = d.Topic
	letter.Headers[HeaderDeadLetterPartition] = strconv.Itoa(int(d.Partition))
	letter.Headers[HeaderDeadLetterOffset] = strconv.FormatInt(d.Offset, 10)
	return letter
}
