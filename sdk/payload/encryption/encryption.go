// Package encryption encrypts payloads, each topic with keys of its own, by envelope encryption: a
// payload is encrypted with a data key, and the data key, encrypted with a key-encryption key
// ([Keys]), travels with the message. Who has only messages has nothing; who may use the
// key-encryption key can read those of its time.
//
//	key-encryption key   in a keyring file ([OpenKeyring]), or a key management service
//	data key             256 random bits, made here, for one topic, for a while and a number of
//	                     messages (Config.KeyLifetime, KeyMessages); never stored as it is
//	payload              AES-256-GCM, with a random nonce of 96 bits in front
//
// The message's id, type, topic, key and content type are authenticated with the payload: it cannot
// be moved into another message. What else is in headers (traceparent, ce_causationid) is not, and
// neither is when and how often a message is sent.
//
// # Limits
//
// Sizes are not hidden: the value grows by 28 bytes. Keys of messages, types and headers are not
// encrypted. The inbox keeps 64 bits of a SHA-256 of type, key and payload, with which a reader of
// the receiver's database can confirm a guess. Random nonces of one data key would repeat
// with a probability of 2^-33 after 2^32 messages; KeyMessages stays far below.
//
// # A key that is not there
//
// A payload whose key-encryption key this process does not have is a [KeyError]: the message
// becomes a dead letter with that reason, still encrypted, and is redriven once the key is there. A
// key management service that does not answer is no reason for that: see [payload.ErrUnavailable].
package encryption

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/payload"
)

// Algorithm is the value of the header ce_encryption.
const Algorithm = "A256GCM"

// contentType is what encrypted payloads are.
const contentType = "application/octet-stream"

// defaultContentType is what payloads are that do not say (the relay says so of them).
const defaultContentType = "application/json"

const keyBytes = 32

// Defaults and limits of a [Config].
const (
	DefaultKeyLifetime = 5 * time.Minute
	DefaultKeyMessages = 1 << 20
	maxKeyMessages     = 1 << 32
	DefaultTimeout     = 3 * time.Second
	DefaultCached      = 1024
)

// Config is what a [Codec] needs.
type Config struct {
	// Keys encrypts and decrypts data keys.
	Keys Keys
	// Topics are those whose payloads are encrypted when they are sent; nil: all. What is kept of a
	// received message is encrypted whatever its topic.
	Topics []string
	// Required are topics of which only encrypted payloads are accepted. Without it a plain message
	// is read as it is, as is needed while senders begin to encrypt.
	Required []string
	// KeyLifetime and KeyMessages bound how long, and for how many messages, a data key is used to
	// encrypt, and KeyLifetime how long one is remembered to decrypt. 0 stands for
	// DefaultKeyLifetime and DefaultKeyMessages.
	KeyLifetime time.Duration
	KeyMessages int64
	// Timeout bounds one call of Keys; 0 is DefaultTimeout.
	Timeout time.Duration
	// Cached is how many data keys are remembered to decrypt; 0 is DefaultCached.
	Cached int
}

// Codec is a [payload.Codec] that encrypts. It is safe for concurrent use.
type Codec struct {
	Config

	sealers sealers
	openers openers
}

// New returns a codec.
func New(c Config) (*Codec, error) {
	c.KeyLifetime = cmp.Or(c.KeyLifetime, DefaultKeyLifetime)
	c.KeyMessages = cmp.Or(c.KeyMessages, DefaultKeyMessages)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Cached = cmp.Or(c.Cached, DefaultCached)
	switch {
	case c.Keys == nil:
		return nil, errors.New("encryption of payloads: there are no keys")
	case c.KeyLifetime < 0 || c.Timeout < 0 || c.Cached < 0:
		return nil, errors.New("encryption of payloads: a lifetime, a timeout and a number of keys must be positive")
	case c.KeyMessages < 0 || c.KeyMessages > maxKeyMessages:
		return nil, fmt.Errorf("encryption of payloads: a data key is for 1 to %d messages", int64(maxKeyMessages))
	}
	return &Codec{Config: c}, nil
}

var (
	errNoID = errors.New("a payload is encrypted for one message: it needs an event id")
	// ErrNotAuthentic says that a payload is not what was encrypted for this message: it was
	// changed, or moved here from another message, topic or key.
	ErrNotAuthentic = errors.New("the encrypted payload was not made for this message, or was changed")
	// ErrPlain says that a payload is not encrypted on a topic of Config.Required.
	ErrPlain = errors.New("the payload is not encrypted, and on this topic only encrypted ones are accepted")
)

// Encode implements [payload.Codec]. A message that is encrypted already, such as a dead letter, is
// left alone.
func (c *Codec) Encode(ctx context.Context, m payload.Message) (payload.Message, error) {
	switch {
	case m.Headers[payload.HeaderEncryption] != "" || !m.Received && c.Topics != nil && !slices.Contains(c.Topics, m.Topic):
		return m, nil
	case m.ID == uuid.Nil:
		return payload.Message{}, errNoID
	}
	s, err := c.sealer(ctx, m.Topic)
	if err != nil {
		return payload.Message{}, err
	}
	kind := cmp.Or(m.Headers[payload.HeaderContentType], defaultContentType)
	m.Value = s.aead.Seal(nil, nil, m.Value, boundTo(m, s.keyID, kind)) //nolint:gosec // it draws its nonces itself
	return m.With(map[string]string{
		payload.HeaderEncryption: Algorithm, payload.HeaderEncryptionKeyID: s.keyID, payload.HeaderEncryptionKey: s.wrapped,
		payload.HeaderEncryptedContentType: kind, payload.HeaderContentType: contentType,
	}), nil
}

// Decode implements [payload.Codec].
func (c *Codec) Decode(ctx context.Context, m payload.Message) (payload.Message, error) {
	switch algorithm := m.Headers[payload.HeaderEncryption]; algorithm {
	case Algorithm:
	case "":
		if slices.Contains(c.Required, m.Topic) {
			return payload.Message{}, ErrPlain
		}
		return m, nil
	default:
		return payload.Message{}, fmt.Errorf("the payload is encrypted by an algorithm that is not known here, %q", algorithm)
	}
	keyID, kind := m.Headers[payload.HeaderEncryptionKeyID], m.Headers[payload.HeaderEncryptedContentType]
	wrapped, err := base64.StdEncoding.DecodeString(m.Headers[payload.HeaderEncryptionKey])
	if err != nil {
		return payload.Message{}, fmt.Errorf("the header %s is not base64", payload.HeaderEncryptionKey)
	}
	aead, err := c.opener(ctx, m.Topic, Wrapped{KeyID: keyID, Key: wrapped})
	if err != nil {
		return payload.Message{}, err
	}
	plain, err := aead.Open(nil, nil, m.Value, boundTo(m, keyID, kind))
	if err != nil {
		return payload.Message{}, ErrNotAuthentic
	}
	m.Value = plain
	return m.Without(payload.HeaderEncryption, payload.HeaderEncryptionKeyID, payload.HeaderEncryptionKey,
		payload.HeaderEncryptedContentType).With(map[string]string{payload.HeaderContentType: kind}), nil
}

// boundTo is what is authenticated besides the payload. Each part goes with its length, so that no
// two lists of parts are the same bytes.
func boundTo(m payload.Message, keyID, kind string) []byte {
	parts := [...]string{"waybill payload 1", Algorithm, string(m.ID[:]), m.Type, m.Topic, m.Key, keyID, kind}
	n := 0
	for _, part := range parts {
		n += 8 + len(part)
	}
	all := make([]byte, 0, n)
	for _, part := range parts {
		all = append(binary.BigEndian.AppendUint64(all, uint64(len(part))), part...)
	}
	return all
}

// newAEAD draws a nonce for each message, and puts it in front.
func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != keyBytes {
		return nil, fmt.Errorf("a key has %d bytes, not %d", keyBytes, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
