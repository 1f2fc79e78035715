package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"waybill.example/sdk/internal/setup"
)

// SchemaVersion is the version of the migration set "outbox" that this package needs.
const SchemaVersion = 10

// Limits of a message.
const (
	// MaxTopicBytes is the longest name that Kafka takes for a topic.
	MaxTopicBytes = 249
	// MaxKeyBytes is the longest key: rows are indexed by key, and an entry of an index has to fit
	// on a third of a page.
	MaxKeyBytes = 2048
)

// Message is one row of the outbox: what the relay will send to Kafka.
type Message struct {
	// EventID identifies the message to its consumers. The zero value stands for a fresh
	// version 7 UUID.
	EventID uuid.UUID
	// Topic is the Kafka topic to send to: at most [MaxTopicBytes] letters, digits, dots,
	// underscores and hyphens. It must exist when the relay gets there.
	Topic string
	// Key orders messages: those of one key reach Kafka in the order in which their
	// transactions made them visible. It is text of at most [MaxKeyBytes]. The empty key is stored
	// as null: no order, any partition.
	Key string
	// Type is what consumers dispatch on; it becomes the header ce_type.
	Type string
	// Payload becomes the Kafka message's value, byte for byte. What is longer than the broker
	// takes (message.max.bytes, 1 MB unless it was raised) is stored, and is stuck in the relay:
	// see the package payload/claimcheck.
	Payload []byte
	// Headers are added to the CloudEvents headers that the relay writes. May be nil. A
	// content-type replaces application/json; ce_specversion, ce_id, ce_source, ce_type and ce_time
	// are the relay's, and left out. Names and values are text: a byte that is not UTF-8 arrives as
	// U+FFFD, and the database refuses a NUL. Encode bytes, in base64 for instance.
	Headers map[string]string
}

var (
	errNoTopic   = errors.New("the topic is empty")
	errLongTopic = fmt.Errorf("the topic has more than %d bytes", MaxTopicBytes)
	errTopic     = errors.New("the topic is not made of ASCII letters, digits, dots, underscores and hyphens, or consists of one or two dots only")
	errLongKey   = fmt.Errorf("the key has more than %d bytes", MaxKeyBytes)
	errKeyText   = errors.New("the key is not UTF-8, or has a NUL in it")
	errNoType    = errors.New("the type is empty")
	errTypeText  = errors.New("the type is not UTF-8, or has a NUL in it")
)

// The ids are allocated in the order of the arrays, because unnest keeps it.
const appendSQL = `
insert into outbox (event_id, topic, key, type, payload, headers)
select event_id, topic, nullif(key, ''), type, payload, headers::jsonb
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[])
  as m (event_id, topic, key, type, payload, headers)`

// Append adds messages to the outbox inside the caller's transaction, in their order and in one
// round trip. They are sent once tx commits, and never if it does not. Where two transactions can
// write messages of the same key, take the lock that decides which one is first (usually the
// entity's row) before calling Append.
//
// Append returns an error for a message that could never be sent (no type, or a topic or key that
// cannot be one), before it touches the database; like every failed statement, an error of the
// database leaves tx aborted. It does nothing where there are no messages.
func Append(ctx context.Context, tx pgx.Tx, messages ...Message) error {
	if len(messages) == 0 {
		return nil
	}
	args, err := columns(messages)
	if err != nil {
		return fmt.Errorf("append to outbox: %w", err)
	}
	if _, err := tx.Exec(ctx, appendSQL, args...); err != nil {
		return fmt.Errorf("append to outbox: %w", setup.Explain(err))
	}
	return nil
}

// Queue is [Append] for callers who send several statements in one round trip: it adds the
// statement to a batch. Sent on a transaction, the batch is part of it; sent on a connection or a
// pool, it is a transaction of its own, all of it or nothing, as long as it contains no begin or
// commit.
func Queue(batch *pgx.Batch, messages ...Message) error {
	if len(messages) == 0 {
		return nil
	}
	args, err := columns(messages)
	if err != nil {
		return fmt.Errorf("append to outbox: %w", err)
	}
	batch.Queue(appendSQL, args...)
	return nil
}

// columns turns messages into one array per column, the shape that unnest takes.
func columns(messages []Message) ([]any, error) {
	n := len(messages)
	// [16]byte and FlatArray: pgx encodes them as they are, without reflection or a way over text.
	ids, topics, keys := make([][16]byte, n), make([]string, n), make([]string, n)
	types, payloads, headers := make([]string, n), make(pgtype.FlatArray[[]byte], n), make([]string, n)
	for i, m := range messages {
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		ids[i], topics[i], keys[i], types[i] = m.EventID, m.Topic, m.Key, m.Type
		if m.EventID == uuid.Nil {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, fmt.Errorf("make an event id: %w", err)
			}
			ids[i] = id
		}
		payloads[i] = m.Payload
		if payloads[i] == nil {
			payloads[i] = []byte{} // an empty value, not SQL's null
		}
		encoded, err := encodeHeaders(m.Headers)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		headers[i] = encoded
	}
	return []any{ids, topics, keys, types, payloads, headers}, nil
}

func (m Message) check() error {
	switch {
	case m.Topic == "":
		return errNoTopic
	case len(m.Topic) > MaxTopicBytes:
		return errLongTopic
	case !topicName(m.Topic):
		return fmt.Errorf("%w: %q", errTopic, m.Topic)
	case len(m.Key) > MaxKeyBytes:
		return errLongKey
	case !storable(m.Key):
		return errKeyText
	case m.Type == "":
		return errNoType
	case !storable(m.Type):
		return errTypeText
	}
	return nil
}

// topicName says whether Kafka takes the name for a topic.
func topicName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return name != "." && name != ".."
}

// storable says whether Postgres can hold s as text.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func encodeHeaders(headers map[string]string) (string, error) {
	if len(headers) == 0 {
		return "{}", nil
	}
	encoded, err := json.Marshal(headers)
	if err != nil {
		return "", fmt.Errorf("encode headers: %w", err)
	}
	return string(encoded), nil
}
