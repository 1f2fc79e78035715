package encryption

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"waybill.example/sdk/payload"
)

// Keys encrypts and decrypts data keys with key-encryption keys: a [Keyring], or a key management
// service. It is safe for concurrent use.
type Keys interface {
	// Wrap encrypts a data key for a topic with the key-encryption key that is current.
	Wrap(ctx context.Context, topic string, dataKey []byte) (Wrapped, error)
	// Unwrap decrypts a data key. It returns a [*KeyError] where the key-encryption key is not one
	// of its own, or does not fit; any other error says that it cannot tell at the moment.
	Unwrap(ctx context.Context, topic string, w Wrapped) (dataKey []byte, err error)
}

// Wrapped is an encrypted data key, and the id of the key-encryption key.
type Wrapped struct {
	KeyID string
	Key   []byte
}

// KeyError says that this process does not have the key for a payload. That is a matter of its
// configuration; the message may be all right.
type KeyError struct {
	KeyID string
	// Wrong says that there is a key of this id, and that it is another one.
	Wrong bool
}

func (e *KeyError) Error() string {
	if e.Wrong {
		return fmt.Sprintf("the payload is encrypted with another key of the id %q than this consumer has", e.KeyID)
	}
	return fmt.Sprintf("the payload is encrypted with the key %q, which this consumer does not have", e.KeyID)
}

// sealer encrypts with one data key.
type sealer struct {
	aead    cipher.AEAD
	keyID   string
	wrapped string // in base64
	until   time.Time
	left    int64
}

// sealers are the data keys that are in use, by topic.
type sealers struct {
	mu       sync.Mutex
	byTopic  map[string]*sealer
	creating map[string]chan struct{} // closed when a topic's next key is there, or is not to be had
}

// sealer returns the data key for one more message of a topic. Of those who need a new one, one
// makes it, and the others wait.
func (c *Codec) sealer(ctx context.Context, topic string) (*sealer, error) {
	s := &c.sealers
	for {
		s.mu.Lock()
		if key := s.byTopic[topic]; key != nil && key.left > 0 && time.Now().Before(key.until) {
			key.left--
			s.mu.Unlock()
			return key, nil
		}
		made, waiting := s.creating[topic]
		if !waiting {
			if s.creating == nil {
				s.creating, s.byTopic = make(map[string]chan struct{}), make(map[string]*sealer)
			}
			made = make(chan struct{})
			s.creating[topic] = made
		}
		s.mu.Unlock()
		if waiting {
			select {
			case <-made:
				continue
			case <-ctx.Done():
				return nil, fmt.Errorf("%w: wait for a data key of %s: %w", payload.ErrUnavailable, topic, ctx.Err())
			}
		}
		key, err := c.newSealer(ctx, topic)
		s.mu.Lock()
		if err == nil {
			s.byTopic[topic] = key
		}
		delete(s.creating, topic)
		s.mu.Unlock()
		close(made)
		if err != nil {
			return nil, err
		}
	}
}

func (c *Codec) newSealer(ctx context.Context, topic string) (*sealer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	w, err := c.Keys.Wrap(ctx, topic, key)
	if err != nil {
		return nil, fmt.Errorf("%w: encrypt a data key of %s: %w", payload.ErrUnavailable, topic, err)
	}
	return &sealer{
		aead: aead, keyID: w.KeyID, wrapped: base64.StdEncoding.EncodeToString(w.Key),
		until: time.Now().Add(c.KeyLifetime), left: c.KeyMessages,
	}, nil
}

// openers remember data keys that were decrypted.
type openers struct {
	mu    sync.Mutex
	known map[string]opener
}

type opener struct {
	aead  cipher.AEAD
	until time.Time
}

// opener decrypts a data key, or remembers it.
func (c *Codec) opener(ctx context.Context, topic string, w Wrapped) (cipher.AEAD, error) {
	name := topic + "\x00" + w.KeyID + "\x00" + string(w.Key)
	c.openers.mu.Lock()
	is, known := c.openers.known[name]
	c.openers.mu.Unlock()
	if known && time.Now().Before(is.until) {
		return is.aead, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	key, err := c.Keys.Unwrap(ctx, topic, w)
	if _, ok := errors.AsType[*KeyError](err); ok {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: decrypt a data key of %s with %q: %w", payload.ErrUnavailable, topic, w.KeyID, err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, &KeyError{KeyID: w.KeyID, Wrong: true}
	}
	c.openers.remember(name, opener{aead, time.Now().Add(c.KeyLifetime)}, c.Cached)
	return aead, nil
}

// remember makes room by forgetting what has expired, or else any: a key that is needed again is
// decrypted again.
func (o *openers) remember(name string, is opener, limit int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known == nil {
		o.known = make(map[string]opener)
	}
	if len(o.known) >= limit {
		now := time.Now()
		for name, is := range o.known {
			if !now.Before(is.until) {
				delete(o.known, name)
			}
		}
		for name := range o.known {
			if len(o.known) < limit {
				break
			}
			delete(o.known, name)
		}
	}
	o.known[name] = is
}
