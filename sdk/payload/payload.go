// Package payload is what stands between the payload that a service writes and the one that
// travels: a [Codec] encrypts it, validates it, or keeps a large one elsewhere. It is given to
// outbox.Writer, which encodes a message before its row is inserted, and to inbox.Processor, which
// decodes a message before anything else looks at it. In between, in outbox rows, in Kafka, in dead
// letters and in their copies, a payload is what the codec made of it, and the relay that carries
// it needs no codec.
//
// What a codec did is said by headers of the message, so encoded messages and plain ones, and those
// of older keys, live side by side on a topic. The headers are attributes of CloudEvents in binary
// content mode (ce_…), and content-type is that of what travels.
//
//	ce_encryption       A256GCM: the value is encrypted; see the package encryption
//	ce_enckeyid         the key-encryption key
//	ce_enckey           the data key, encrypted with that
//	ce_enccontenttype   the content type of what is encrypted
//	ce_dataref          the value is in a blob store, under this name; see the package claimcheck
//	ce_dataschema       the value is in the wire format of a schema registry, with this schema
//
// Codecs are put together with [Chain].
package payload

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Names of headers. All but the first are set by codecs only.
const (
	HeaderContentType          = "content-type"
	HeaderEncryption           = "ce_encryption"
	HeaderEncryptionKeyID      = "ce_enckeyid"
	HeaderEncryptionKey        = "ce_enckey"
	HeaderEncryptedContentType = "ce_enccontenttype"
	HeaderDataRef              = "ce_dataref"
	HeaderDataSchema           = "ce_dataschema"
)

// IsCodecHeader says whether a header is about how a payload is encoded: what a message with
// another payload must not keep.
func IsCodecHeader(name string) bool {
	switch name {
	case HeaderContentType, HeaderEncryption, HeaderEncryptionKeyID, HeaderEncryptionKey, HeaderEncryptedContentType, HeaderDataRef, HeaderDataSchema:
		return true
	}
	return false
}

// ErrUnavailable is wrapped by errors that say nothing about a message: a key management service or
// a blob store that does not answer. What is encoded then is not written, and what is decoded waits
// until it can be; it is never a dead letter.
var ErrUnavailable = errors.New("what is needed for the payload is unavailable")

// Message is what a codec gets to see of a message.
type Message struct {
	// ID is the event's id, the header ce_id; uuid.Nil where a received message has none that is a
	// UUID.
	ID    uuid.UUID
	Topic string
	Key   string
	Type  string
	// Headers are those of the outbox row, or the first of each name that was received. A codec
	// changes them with With and Without only, which copy them.
	Headers map[string]string
	Value   []byte
	// Received says of a message that is encoded that it was received, and is only kept: as a dead
	// letter. It is not what this process sends, so it is encrypted, and not held against schemas.
	Received bool
}

// With returns the message with these headers besides, or in place of its own.
func (m Message) With(headers map[string]string) Message {
	all := make(map[string]string, len(m.Headers)+len(headers))
	maps.Copy(all, m.Headers)
	maps.Copy(all, headers)
	m.Headers = all
	return m
}

// Without returns the message without some headers.
func (m Message) Without(names ...string) Message {
	m.Headers = maps.Clone(m.Headers)
	for _, name := range names {
		delete(m.Headers, name)
	}
	return m
}

// Codec turns payloads into what travels, and back. It is safe for concurrent use, and modifies
// neither the Value nor the Headers of the message that it is given.
//
// Both methods are called while the caller may have a transaction open, so what they wait for
// outside of this process has a time limit of a few seconds. An error that wraps [ErrUnavailable]
// is nobody's fault and passes; any other of Decode says that the message cannot be decoded as this
// process is configured, and makes it a dead letter, which can be redriven.
type Codec interface {
	// Encode returns the message as it is to travel.
	Encode(ctx context.Context, m Message) (Message, error)
	// Decode returns the message as it was before Encode. One that this codec did not encode, as
	// its headers say, is returned as it is.
	Decode(ctx context.Context, m Message) (Message, error)
}

// Chain returns a codec that encodes with each of the codecs, in their order, and decodes in the
// opposite order. nil codecs are left out; it returns nil where there is no other.
func Chain(codecs ...Codec) Codec {
	var all chain
	for _, c := range codecs {
		if c != nil {
			all = append(all, c)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

type chain []Codec

func (c chain) Encode(ctx context.Context, m Message) (Message, error) {
	for _, codec := range c {
		var err error
		if m, err = codec.Encode(ctx, m); err != nil {
			return Message{}, err
		}
	}
	return m, nil
}

func (c chain) Decode(ctx context.Context, m Message) (Message, error) {
	for _, codec := range slices.Backward(c) {
		var err error
		if m, err = codec.Decode(ctx, m); err != nil {
			return Message{}, err
		}
	}
	return m, nil
}

// Describe says in words how a payload is encoded, from the message's headers: what a tool shows in
// its place. It returns "" for a payload that is as it was written.
func Describe(header func(name string) string) string {
	var parts []string
	if ref := header(HeaderDataRef); ref != "" {
		parts = append(parts, fmt.Sprintf("kept in the blob store as %q", ref))
	}
	if algorithm := header(HeaderEncryption); algorithm != "" {
		parts = append(parts, fmt.Sprintf("encrypted with key %q (%s)", header(HeaderEncryptionKeyID), algorithm))
	}
	if schema := header(HeaderDataSchema); strings.Contains(schema, "/schemas/ids/") {
		parts = append(parts, fmt.Sprintf("in the wire format of a schema registry (%s)", schema))
	}
	return strings.Join(parts, ", ")
}
