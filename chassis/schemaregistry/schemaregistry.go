// Package schemaregistry is a codec for payloads in the wire format of Confluent's schema registry,
// which other registries speak as well (Redpanda, Apicurio, Karapace): a byte 0, the schema's id in
// four bytes, for Protobuf the index of the message in its file, and the payload. So consumers with
// Confluent's deserializers read what a service of Waybill sends, and it reads what their
// serializers wrote.
//
// The service writes its payload in its schema's format: JSON, Avro's binary encoding or Protobuf.
// Before it is inserted, it is checked against the schema. The subject is <topic>-<type>, since a
// topic has messages of several types (Confluent's TopicRecordNameStrategy). Decode takes the
// header of the wire format off, and does not look at schemas: the registry may be down.
//
// [Validator] only checks, and needs no registry.
package schemaregistry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"waybill.example/sdk/payload"
)

// framed is the content type of the wire format, of which none is registered.
const framed = "application/octet-stream"

// DefaultTimeout bounds one question to the registry.
const DefaultTimeout = 5 * time.Second

// Config is what a [Codec] needs.
type Config struct {
	// URL is the registry's address. Client, if set, is used in its place: for authentication.
	URL    string
	Client *sr.Client
	// Topics are those whose payloads are in the wire format; nil: all.
	Topics []string
	// Schemas returns the schema of a type of message, and whether there is one. A message without
	// is not sent.
	Schemas func(messageType string) (Schema, bool)
	// Register has schemas registered that the registry does not have, which refuses those that are
	// not compatible. Without it they have to be there.
	Register bool
	// Timeout bounds one question to the registry; 0 is DefaultTimeout.
	Timeout time.Duration
}

// Codec is a [payload.Codec] for the wire format. It is safe for concurrent use.
type Codec struct {
	Config

	check Validator
	mu    sync.Mutex
	ids   map[string]int // by subject: an id is of one schema forever
	kinds map[int]sr.SchemaType
}

// New returns a codec. It does not connect.
func New(c Config) (*Codec, error) {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	if c.Schemas == nil {
		return nil, errors.New("schema registry: there are no schemas")
	}
	if c.Client == nil {
		if c.URL == "" {
			return nil, errors.New("schema registry: there is no address")
		}
		var err error
		if c.Client, err = sr.NewClient(sr.URLs(c.URL), sr.HTTPClient(&http.Client{Timeout: c.Timeout})); err != nil {
			return nil, fmt.Errorf("schema registry: %w", err)
		}
	}
	return &Codec{
		Config: c, check: Validator{Schemas: c.Schemas}, ids: make(map[string]int), kinds: make(map[int]sr.SchemaType),
	}, nil
}

// Encode implements [payload.Codec]. A message that has been encoded, such as a dead letter, is
// left alone.
func (c *Codec) Encode(ctx context.Context, m payload.Message) (payload.Message, error) {
	if m.Received || !c.covers(m.Topic) || strings.Contains(m.Headers[payload.HeaderDataSchema], byID) {
		return m, nil
	}
	is, err := c.check.compiled(m.Type)
	if err == nil {
		err = is.check(m)
	}
	if err != nil {
		return payload.Message{}, err
	}
	id, err := c.id(ctx, m.Topic+"-"+m.Type, is)
	if err != nil {
		return payload.Message{}, err
	}
	header, err := new(sr.ConfluentHeader).AppendEncode(make([]byte, 0, 16+len(m.Value)), id, is.Index)
	if err != nil {
		return payload.Message{}, err
	}
	m.Value = append(header, m.Value...)
	return m.With(map[string]string{
		payload.HeaderDataSchema:  strings.TrimSuffix(c.URL, "/") + byID + strconv.Itoa(id),
		payload.HeaderContentType: framed,
	}), nil
}

// byID is where a registry has schemas.
const byID = "/schemas/ids/"

func (c *Codec) covers(topic string) bool { return c.Topics == nil || slices.Contains(c.Topics, topic) }

// Decode implements [payload.Codec]. What is not in the wire format is returned as it is.
func (c *Codec) Decode(ctx context.Context, m payload.Message) (payload.Message, error) {
	if !c.covers(m.Topic) {
		return m, nil
	}
	id, rest, err := new(sr.ConfluentHeader).DecodeID(m.Value)
	if err != nil {
		return m, nil //nolint:nilerr // it is not in the wire format
	}
	kind, err := c.kind(ctx, m.Type, id)
	if err != nil {
		return payload.Message{}, err
	}
	if kind == sr.TypeProtobuf {
		if _, rest, err = new(sr.ConfluentHeader).DecodeIndex(rest, maxIndex); err != nil {
			return payload.Message{}, errors.New("the index of the Protobuf message is malformed")
		}
	}
	m.Value = rest
	return m.Without(payload.HeaderDataSchema).With(map[string]string{payload.HeaderContentType: contentTypes[kind]}), nil
}

// maxIndex is how deeply messages may be nested in a file.
const maxIndex = 32

var contentTypes = map[sr.SchemaType]string{
	sr.TypeJSON: "application/json", sr.TypeAvro: "application/avro", sr.TypeProtobuf: "application/protobuf",
}

// kind is the format of a message: that of its type, or of its schema where the type is not known.
func (c *Codec) kind(ctx context.Context, messageType string, id int) (sr.SchemaType, error) {
	if s, known := c.Schemas(messageType); known {
		return s.Format.Type(), nil
	}
	c.mu.Lock()
	kind, known := c.kinds[id]
	c.mu.Unlock()
	if known {
		return kind, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	s, err := c.Client.SchemaByID(ctx, id)
	if err != nil {
		return 0, refused(fmt.Sprintf("look up schema %d", id), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kinds[id] = s.Type
	return s.Type, nil
}

// id asks the registry once per subject.
func (c *Codec) id(ctx context.Context, subject string, s *compiled) (int, error) {
	c.mu.Lock()
	id, known := c.ids[subject]
	c.mu.Unlock()
	if known {
		return id, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	schema := sr.Schema{Schema: s.Text, Type: s.Format.Type()}
	ask := c.Client.LookupSchema
	if c.Register {
		ask = c.Client.CreateSchema
	}
	found, err := ask(ctx, subject, schema)
	if err != nil {
		return 0, refused("schema of "+subject, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[subject] = found.ID
	return found.ID, nil
}

// refused tells an answer of the registry, which says something about the schema, from none.
func refused(what string, err error) error {
	answer, answered := errors.AsType[*sr.ResponseError](err)
	if answered && answer.StatusCode >= 400 && answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests &&
		answer.StatusCode != http.StatusUnauthorized && answer.StatusCode != http.StatusForbidden {
		return fmt.Errorf("%s: the schema registry refuses: %w", what, err)
	}
	return fmt.Errorf("%w: %s: ask the schema registry: %w", payload.ErrUnavailable, what, err)
}
