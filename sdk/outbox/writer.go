package outbox

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/payload"
)

// headerDeadLetterTopic is on dead letters. They are what was received.
const headerDeadLetterTopic = "waybill-dlq-topic"

// Writer is [Append] and [Queue] with a codec for the payloads. The zero value has none, and does
// what those do. It is safe for concurrent use.
type Writer struct {
	// Payloads, if set, encodes each message before its row is queued: encrypts it, say.
	Payloads payload.Codec
}

// Append is [Append], after the messages were encoded. Where a codec waits for something outside of
// this process, it does so inside the caller's transaction: see [payload.Codec].
func (w Writer) Append(ctx context.Context, tx pgx.Tx, messages ...Message) error {
	encoded, err := w.Encode(ctx, messages...)
	if err != nil {
		return fmt.Errorf("append to outbox: %w", err)
	}
	return Append(ctx, tx, encoded...)
}

// Queue is [Queue], after the messages were encoded.
func (w Writer) Queue(ctx context.Context, batch *pgx.Batch, messages ...Message) error {
	encoded, err := w.Encode(ctx, messages...)
	if err != nil {
		return fmt.Errorf("append to outbox: %w", err)
	}
	return Queue(batch, encoded...)
}

// Encode returns the messages as they are to be inserted, each with its event id, which the codec
// may bind the payload to. Dead letters are what was received, and stay so. Without a codec it
// returns them as they are.
func (w Writer) Encode(ctx context.Context, messages ...Message) ([]Message, error) {
	if w.Payloads == nil {
		return messages, nil
	}
	encoded := slices.Clone(messages)
	for i, m := range encoded {
		if m.Headers[headerDeadLetterTopic] != "" {
			continue
		}
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		if m.EventID == uuid.Nil {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, fmt.Errorf("make an event id: %w", err)
			}
			m.EventID = id
		}
		e, err := w.Payloads.Encode(ctx, payload.Message{
			ID: m.EventID, Topic: m.Topic, Key: m.Key, Type: m.Type, Headers: m.Headers, Value: m.Payload,
		})
		if err != nil {
			return nil, fmt.Errorf("message %d: encode the payload of %s: %w", i, m.Type, err)
		}
		m.Headers, m.Payload = e.Headers, e.Value
		encoded[i] = m
	}
	return encoded, nil
}
