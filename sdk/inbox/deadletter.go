package inbox

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"strconv"
	"unicode/utf8"

	"github.com/google/uuid"

	"waybill.example/sdk/outbox"
)

// Headers that a dead letter carries besides the message's own: where it stood and why it is here.
const (
	HeaderDeadLetterReason    = "waybill-dlq-reason"
	HeaderDeadLetterConsumer  = "waybill-dlq-consumer"
	HeaderDeadLetterTopic     = "waybill-dlq-topic"
	HeaderDeadLetterPartition = "waybill-dlq-partition"
	HeaderDeadLetterOffset    = "waybill-dlq-offset"
	// The message's own ce_source and ce_time; the dead letter's are of the service that sends it.
	HeaderDeadLetterSource = "waybill-dlq-source"
	HeaderDeadLetterTime   = "waybill-dlq-time"
)

// Headers that a dead letter carries where it is not whole. The whole message is at the topic,
// partition and offset that the others name, for as long as Kafka keeps it.
const (
	// HeaderDeadLetterKey is the beginning of a key that the dead letter could not keep, in base64;
	// HeaderDeadLetterKeyBytes and HeaderDeadLetterKeySHA256 are of all of it.
	HeaderDeadLetterKey       = "waybill-dlq-key"
	HeaderDeadLetterKeyBytes  = "waybill-dlq-key-bytes"
	HeaderDeadLetterKeySHA256 = "waybill-dlq-key-sha256"
	// HeaderDeadLetterPayloadBytes is the length of a payload that was cut.
	HeaderDeadLetterPayloadBytes = "waybill-dlq-payload-bytes"
	// HeaderDeadLetterHeadersLeftOut is the number of headers that were left out.
	HeaderDeadLetterHeadersLeftOut = "waybill-dlq-headers-left-out"
)

// TypeDeadLetter is the message type of a dead letter whose own type is not known.
const TypeDeadLetter = "DeadLetter"

// The CloudEvents attributes that the relay writes from an outbox row's columns.
const (
	headerID     = "ce_id"
	headerType   = "ce_type"
	headerSource = "ce_source"
	headerTime   = "ce_time"
)

// What a dead letter may hold. All together it stays below a Kafka client's usual limit of
// 1,000,000 bytes for one message, with room for what the relay and the protocol add.
const (
	maxLetterPayload = 900_000 // bytes
	maxLetterHeaders = 32_000  // bytes of names and values
	maxLetterHeader  = 8_000   // bytes of one value
	maxLetterReason  = 1_000   // code points
	maxLetterType    = 255     // bytes
	keptOfKey        = 750     // bytes, a third more in base64
)

// DeadLetterTopic names the topic that takes the messages of topic which no consumer can apply:
// <topic>.dlq. Where that would be longer than a topic's name may be, the end of topic is replaced
// by a hash of all of it.
func DeadLetterTopic(topic string) string {
	const suffix = ".dlq"
	if len(topic)+len(suffix) <= outbox.MaxTopicBytes {
		return topic + suffix
	}
	sum := sha256.Sum256([]byte(topic))
	hash := "-" + hex.EncodeToString(sum[:8])
	return clip(topic, outbox.MaxTopicBytes-len(hash)-len(suffix)) + hash + suffix
}

// DeadLetter returns the outbox message that sets a delivery aside in [DeadLetterTopic]: the same
// key, value, id and headers, and headers that say where it stood, which consumer could not apply
// it and why. It can be stored and sent whatever the delivery holds: what is too long, or is not
// text where it has to be, is cut or left out, and headers say so.
func DeadLetter(d Delivery, consumer string, reason error) outbox.Message {
	letter := bareLetter(d, consumer, reason)
	if id, err := uuid.Parse(d.Header(headerID)); err == nil {
		letter.EventID = id
	}
	if kind := d.Header(headerType); kind != "" && len(kind) <= maxLetterType && storable(kind) {
		letter.Type = kind
	}
	own := letter.Headers
	letter.Headers = make(map[string]string, len(d.Headers)+len(own)+4)
	keepHeaders(letter.Headers, d.Headers)
	maps.Copy(letter.Headers, own)
	letter.Key = keepKey(letter.Headers, d.Key)
	letter.Payload = d.Value
	if len(d.Value) > maxLetterPayload {
		letter.Payload = d.Value[:maxLetterPayload]
		letter.Headers[HeaderDeadLetterPayloadBytes] = strconv.Itoa(len(d.Value))
	}
	return letter
}

// bareLetter is a dead letter that holds nothing of the message but where it stood.
func bareLetter(d Delivery, consumer string, reason error) outbox.Message {
	return outbox.Message{
		EventID: d.PositionID(),
		Topic:   DeadLetterTopic(text(d.Topic)),
		Type:    TypeDeadLetter,
		Headers: map[string]string{
			HeaderDeadLetterReason:    reasonText(reason),
			HeaderDeadLetterConsumer:  consumer,
			HeaderDeadLetterTopic:     text(d.Topic),
			HeaderDeadLetterPartition: strconv.Itoa(int(d.Partition)),
			HeaderDeadLetterOffset:    strconv.FormatInt(d.Offset, 10),
		},
	}
}

// reasonText is an error in words that Postgres can hold and a person can read.
func reasonText(reason error) string {
	words := text(reason.Error())
	if utf8.RuneCountInString(words) <= maxLetterReason {
		return words
	}
	return string([]rune(words)[:maxLetterReason-1]) + "…"
}

// keepKey returns the key, or "" and puts what can be kept of it into headers.
func keepKey(headers map[string]string, key []byte) string {
	if len(key) <= outbox.MaxKeyBytes && storable(string(key)) {
		return string(key)
	}
	sum := sha256.Sum256(key)
	headers[HeaderDeadLetterKey] = base64.StdEncoding.EncodeToString(key[:min(len(key), keptOfKey)])
	headers[HeaderDeadLetterKeyBytes] = strconv.Itoa(len(key))
	headers[HeaderDeadLetterKeySHA256] = hex.EncodeToString(sum[:])
	return ""
}

// keepHeaders keeps the message's own headers, as far as they are text and there is room.
func keepHeaders(into map[string]string, headers []Header) {
	room, leftOut := maxLetterHeaders, 0
	for _, h := range headers {
		name, value := h.Key, string(h.Value)
		switch name {
		case headerID, headerType:
			continue
		case headerSource:
			name = HeaderDeadLetterSource
		case headerTime:
			name = HeaderDeadLetterTime
		}
		size := len(name) + len(value)
		if name == "" || size > room || len(value) > maxLetterHeader || !storable(name) || !storable(value) {
			leftOut++
			continue
		}
		room -= size
		into[name] = value
	}
	if leftOut > 0 {
		into[HeaderDeadLetterHeadersLeftOut] = strconv.Itoa(leftOut)
	}
}
