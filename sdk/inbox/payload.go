package inbox

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"waybill.example/sdk/payload"
)

// DecodePayload returns a delivery with its payload as it was before the sender's codec encoded it;
// without a codec, as it is. [Processor] does so by itself: this is for what looks at messages in
// other ways. Errors are those of [payload.Codec].
func DecodePayload(ctx context.Context, codec payload.Codec, d Delivery) (Delivery, error) {
	if codec == nil {
		return d, nil
	}
	m, err := codec.Decode(ctx, d.message())
	if err != nil {
		return d, fmt.Errorf("decode the payload: %w", err)
	}
	return d.with(m), nil
}

// EncodePayload is the opposite of [DecodePayload]: it makes of a message what might have been
// delivered, to be kept.
func EncodePayload(ctx context.Context, codec payload.Codec, d Delivery) (Delivery, error) {
	if codec == nil {
		return d, nil
	}
	m := d.message()
	m.Received = true
	m, err := codec.Encode(ctx, m)
	if err != nil {
		return d, fmt.Errorf("encode the payload: %w", err)
	}
	return d.with(m), nil
}

// message is what a codec sees of a delivery.
func (d Delivery) message() payload.Message {
	m := payload.Message{
		Topic: d.Topic, Key: string(d.Key), Type: d.Header(headerType), Value: d.Value,
		Headers: make(map[string]string, len(d.Headers)),
	}
	// In a dead letter topic stand messages of another topic.
	if own := d.Header(HeaderDeadLetterTopic); own != "" && d.Topic == DeadLetterTopic(own) {
		m.Topic = own
	}
	m.ID, _ = uuid.Parse(d.Header(headerID)) // a message without one is the codec's to judge
	for _, h := range d.Headers {
		if _, known := m.Headers[h.Key]; !known {
			m.Headers[h.Key] = string(h.Value)
		}
	}
	return m
}

// with returns the delivery with what a codec made of its message.
func (d Delivery) with(m payload.Message) Delivery {
	d.Value = m.Value
	headers, seen := make([]Header, 0, len(d.Headers)), make(map[string]bool, len(d.Headers))
	for _, h := range d.Headers {
		value, kept := m.Headers[h.Key]
		if !kept {
			continue
		}
		if !seen[h.Key] && value != string(h.Value) {
			h.Value = []byte(value)
		}
		seen[h.Key] = true
		headers = append(headers, h)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		if !seen[name] {
			headers = append(headers, Header{Key: name, Value: []byte(m.Headers[name])})
		}
	}
	d.Headers = headers
	return d
}
