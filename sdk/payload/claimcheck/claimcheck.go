// Package claimcheck keeps large payloads out of the outbox and out of Kafka: a payload above a
// threshold is written to a [BlobStore], and its message carries the name, in the CloudEvents
// attribute dataref (the header ce_dataref), and no value. The pattern is Claim Check
// (https://www.enterpriseintegrationpatterns.com/patterns/messaging/StoreInLibrary.html).
//
// # Guarantees
//
//   - A blob is stored before its message's row is inserted, so a message that can be read refers
//     to a blob that exists, until it is collected.
//   - The name has the SHA-256 of what is stored, so a blob that was changed is not read.
//   - A reference leads nowhere but into the receiver's own store, by the name that belongs to the
//     message's own id: a reference is no address.
//   - A blob that is missing is a [MissingError]: the message is a dead letter with that reason,
//     and can be redriven once the blob is back. A store that does not answer makes the consumer
//     wait ([payload.ErrUnavailable]).
//
// # Blobs without a message
//
// A transaction that is rolled back leaves its blob behind, and nothing says when the last reader
// of a topic has read a message. So blobs are removed by age ([Collect], or a rule of the store).
// The age must be longer than messages can be read: than Kafka keeps them, than rows of the outbox
// are kept for a replay, and than a dead letter may wait for its operator.
//
// With encryption, put this codec behind that one (payload.Chain(encryption, claimcheck)): then
// what is stored is encrypted.
package claimcheck

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/payload"
)

// Errors of a [BlobStore]. All others say that it is unavailable.
var (
	ErrNotFound = errors.New("no such blob")
	ErrTooLarge = errors.New("the blob is larger than is accepted")
)

// BlobStore keeps blobs by name. Names are up to three parts of ASCII letters, digits, dots,
// underscores and hyphens, with slashes between them. It is safe for concurrent use.
type BlobStore interface {
	// Put stores a blob, in place of one of that name. It is durable when Put returns.
	Put(ctx context.Context, name string, data []byte) error
	// Get returns a blob of at most limit bytes, [ErrNotFound] or [ErrTooLarge].
	Get(ctx context.Context, name string, limit int64) ([]byte, error)
	// Old returns the names of the blobs that were put before a moment, in any order. After an
	// error there is nothing more.
	Old(ctx context.Context, before time.Time) iter.Seq2[string, error]
	// Delete removes a blob. One that does not exist is no error.
	Delete(ctx context.Context, name string) error
}

// Defaults of a [Config].
const (
	DefaultThreshold = 256 << 10
	DefaultMaxBytes  = 64 << 20
	DefaultTimeout   = 10 * time.Second
)

// Config is what a [Codec] needs.
type Config struct {
	Store BlobStore
	// Threshold is the length in bytes above which a payload is kept in the store; 0 is
	// DefaultThreshold. A broker usually takes messages of up to 1,000,000 bytes.
	Threshold int
	// MaxBytes is how long a payload from the store may be; 0 is DefaultMaxBytes.
	MaxBytes int64
	// Timeout bounds one call of the store; 0 is DefaultTimeout.
	Timeout time.Duration
}

// Codec is a [payload.Codec] that keeps large payloads in a store. It is safe for concurrent use.
type Codec struct{ Config }

// New returns a codec.
func New(c Config) (*Codec, error) {
	c.Threshold = cmp.Or(c.Threshold, DefaultThreshold)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	switch {
	case c.Store == nil:
		return nil, errors.New("claim check: there is no store")
	case c.Threshold < 0 || c.MaxBytes < 0 || c.Timeout < 0:
		return nil, errors.New("claim check: a threshold, a size and a timeout must be positive")
	case int64(c.Threshold) > c.MaxBytes:
		return nil, fmt.Errorf("claim check: a threshold of %d bytes, above the %d bytes that are accepted", c.Threshold, c.MaxBytes)
	}
	return &Codec{c}, nil
}

// MissingError says that the payload of a message is not in the store.
type MissingError struct{ Ref string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("the payload is not in the blob store: %q is missing", e.Ref)
}

var (
	errNoID  = errors.New("a payload is stored for one message: it needs an event id")
	errRef   = errors.New("the header " + payload.HeaderDataRef + " is not the name of a blob of this message")
	errHash  = errors.New("the blob is not what was stored: its SHA-256 is another")
	errLarge = errors.New("the payload is too long")
)

// Encode implements [payload.Codec]. A message that refers to a blob already, such as a dead
// letter, is left alone.
func (c *Codec) Encode(ctx context.Context, m payload.Message) (payload.Message, error) {
	switch {
	case len(m.Value) <= c.Threshold || m.Headers[payload.HeaderDataRef] != "":
		return m, nil
	case int64(len(m.Value)) > c.MaxBytes:
		return payload.Message{}, fmt.Errorf("%w: it has %d bytes, and receivers accept %d", errLarge, len(m.Value), c.MaxBytes)
	case m.ID == uuid.Nil:
		return payload.Message{}, errNoID
	}
	sum := sha256.Sum256(m.Value)
	name := m.Topic + "/" + m.ID.String() + "/" + hex.EncodeToString(sum[:])
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := c.Store.Put(ctx, name, m.Value); err != nil {
		return payload.Message{}, fmt.Errorf("%w: store a payload of %d bytes: %w", payload.ErrUnavailable, len(m.Value), err)
	}
	m.Value = []byte{}
	return m.With(map[string]string{payload.HeaderDataRef: name}), nil
}

// Decode implements [payload.Codec].
func (c *Codec) Decode(ctx context.Context, m payload.Message) (payload.Message, error) {
	ref := m.Headers[payload.HeaderDataRef]
	if ref == "" {
		return m, nil
	}
	want, err := digest(m.ID, ref)
	if err != nil {
		return payload.Message{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	data, err := c.Store.Get(ctx, ref, c.MaxBytes)
	switch {
	case errors.Is(err, ErrNotFound):
		return payload.Message{}, &MissingError{ref}
	case errors.Is(err, ErrTooLarge):
		return payload.Message{}, fmt.Errorf("%w: more than %d bytes are in the blob store", errLarge, c.MaxBytes)
	case err != nil:
		return payload.Message{}, fmt.Errorf("%w: read the payload %q: %w", payload.ErrUnavailable, ref, err)
	}
	if sha256.Sum256(data) != want {
		return payload.Message{}, errHash
	}
	m.Value = data
	return m.Without(payload.HeaderDataRef), nil
}

// digest reads a reference. Whatever is in it is of the message's own id and cannot leave the
// store.
func digest(id uuid.UUID, ref string) (sum [sha256.Size]byte, err error) {
	topic, rest, _ := strings.Cut(ref, "/")
	of, hash, _ := strings.Cut(rest, "/")
	if !nameOfTopic(topic) || of != id.String() || len(hash) != 2*len(sum) || hash != strings.ToLower(hash) {
		return sum, errRef
	}
	if _, err := hex.Decode(sum[:], []byte(hash)); err != nil {
		return sum, errRef
	}
	return sum, nil
}

func nameOfTopic(name string) bool {
	legal := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r)
	}
	other := func(r rune) bool { return !legal(r) }
	return name != "" && name != "." && name != ".." && !strings.ContainsFunc(name, other)
}

// Collect removes the blobs that were put before a moment, and returns how many. See the package
// comment for how old they have to be.
func Collect(ctx context.Context, store BlobStore, before time.Time) (n int, err error) {
	for name, err := range store.Old(ctx, before) {
		if err == nil {
			err = store.Delete(ctx, name)
		}
		if err != nil {
			return n, fmt.Errorf("collect blobs: %w", err)
		}
		n++
	}
	return n, nil
}
