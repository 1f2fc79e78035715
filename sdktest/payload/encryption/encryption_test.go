package encryption_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/payload"
	"waybill.example/sdk/payload/encryption"
)

// keyring writes a keyring with keys made of the given bytes, the first of which is primary.
func keyring(t *testing.T, path string, ids ...string) {
	t.Helper()
	file := struct {
		Primary string            `json:"primary"`
		Keys    map[string][]byte `json:"keys"`
	}{ids[0], map[string][]byte{}}
	for _, id := range ids {
		key := make([]byte, 32)
		copy(key, id)
		file.Keys[id] = key
	}
	text, err := json.Marshal(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".new", text, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func codec(t *testing.T, c encryption.Config) *encryption.Codec {
	t.Helper()
	made, err := encryption.New(c)
	require.NoError(t, err)
	return made
}

// ring is a codec with a keyring of its own, and the keyring's path.
func ring(t *testing.T, ids ...string) (*encryption.Codec, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	keyring(t, path, ids...)
	keys, err := encryption.OpenKeyring(path)
	require.NoError(t, err)
	return codec(t, encryption.Config{Keys: keys}), path
}

func message() payload.Message {
	return payload.Message{
		ID: uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"), Topic: "orders.v1", Key: "17", Type: "OrderCreated",
		Headers: map[string]string{"traceparent": "00-x"}, Value: []byte(`{"userId":"u1"}`),
	}
}

func TestCodec_WhatIsEncryptedIsReadAgain(t *testing.T) {
	t.Parallel()
	c, _ := ring(t, "k1")
	plain := message()
	sent, err := c.Encode(t.Context(), plain)
	require.NoError(t, err)
	require.NotContains(t, string(sent.Value), "u1")
	require.Equal(t, "application/octet-stream", sent.Headers["content-type"])
	require.Equal(t, `encrypted with key "k1" (A256GCM)`, payload.Describe(func(name string) string { return sent.Headers[name] }))
	require.Equal(t, message(), plain, "what is encoded is not modified")

	again, err := c.Encode(t.Context(), sent)
	require.NoError(t, err)
	require.Equal(t, sent, again, "it is encrypted once")

	read, err := c.Decode(t.Context(), sent)
	require.NoError(t, err)
	plain.Headers = map[string]string{"traceparent": "00-x", "content-type": "application/json"}
	require.Equal(t, plain, read)

	untouched, err := c.Decode(t.Context(), message())
	require.NoError(t, err)
	require.Equal(t, message(), untouched, "plain messages are read beside encrypted ones")
}

// A payload is bound to its message: put into any other, or changed, it does not decrypt.
func TestCodec_APayloadIsNoOtherMessages(t *testing.T) {
	t.Parallel()
	c, _ := ring(t, "k1", "k2")
	sent, err := c.Encode(t.Context(), message())
	require.NoError(t, err)
	for name, change := range map[string]func(*payload.Message){
		"id":           func(m *payload.Message) { m.ID = uuid.New() },
		"type":         func(m *payload.Message) { m.Type = "OrderCancelled" },
		"key":          func(m *payload.Message) { m.Key = "18" },
		"content type": func(m *payload.Message) { m.Headers[payload.HeaderEncryptedContentType] = "text/html" },
		"a bit":        func(m *payload.Message) { m.Value[len(m.Value)-1] ^= 1 },
		"cut":          func(m *payload.Message) { m.Value = m.Value[:len(m.Value)-1] },
		"empty":        func(m *payload.Message) { m.Value = nil },
	} {
		moved := sent
		moved.Headers, moved.Value = maps.Clone(sent.Headers), append([]byte(nil), sent.Value...)
		change(&moved)
		_, err := c.Decode(t.Context(), moved)
		require.ErrorIs(t, err, encryption.ErrNotAuthentic, name)
	}
	// The data key is for its topic, and wrapped with its key.
	for name, change := range map[string]func(*payload.Message){
		"topic":       func(m *payload.Message) { m.Topic = "inventory.v1" },
		"another key": func(m *payload.Message) { m.Headers[payload.HeaderEncryptionKeyID] = "k2" },
		"garbage":     func(m *payload.Message) { m.Headers[payload.HeaderEncryptionKey] = "AAAA" },
	} {
		moved := sent
		moved.Headers = maps.Clone(sent.Headers)
		change(&moved)
		_, err := c.Decode(t.Context(), moved)
		keyErr, ok := errors.AsType[*encryption.KeyError](err)
		require.True(t, ok, "%s: %v", name, err)
		require.True(t, keyErr.Wrong, name)
	}
}

func TestCodec_WhatItCannotReadSaysWhy(t *testing.T) {
	t.Parallel()
	c, _ := ring(t, "k1")
	sent, err := c.Encode(t.Context(), message())
	require.NoError(t, err)

	other, _ := ring(t, "k9")
	_, err = other.Decode(t.Context(), sent)
	require.EqualError(t, err, `the payload is encrypted with the key "k1", which this consumer does not have`)
	require.NotErrorIs(t, err, payload.ErrUnavailable)

	_, err = c.Decode(t.Context(), sent.With(map[string]string{payload.HeaderEncryption: "ROT13"}))
	require.ErrorContains(t, err, `an algorithm that is not known here, "ROT13"`)
	_, err = c.Decode(t.Context(), sent.With(map[string]string{payload.HeaderEncryptionKey: "!"}))
	require.ErrorContains(t, err, "is not base64")

	strict := codec(t, encryption.Config{Keys: c.Keys, Required: []string{"orders.v1"}})
	_, err = strict.Decode(t.Context(), message())
	require.ErrorIs(t, err, encryption.ErrPlain)

	nameless := message()
	nameless.ID = uuid.Nil
	_, err = c.Encode(t.Context(), nameless)
	require.ErrorContains(t, err, "event id")

	some := codec(t, encryption.Config{Keys: c.Keys, Topics: []string{"payments.v1"}})
	same, err := some.Encode(t.Context(), message())
	require.NoError(t, err)
	require.Equal(t, message(), same)
	kept := message()
	kept.Received = true
	kept, err = some.Encode(t.Context(), kept)
	require.NoError(t, err)
	require.Equal(t, encryption.Algorithm, kept.Headers[payload.HeaderEncryption])
}

// Keys rotate while processes run: messages of the old key are read for as long as it is there.
func TestCodec_KeysRotateWithoutARestart(t *testing.T) {
	t.Parallel()
	c, path := ring(t, "k1")
	old, err := c.Encode(t.Context(), message())
	require.NoError(t, err)

	keyring(t, path, "k2", "k1")
	fresh := codec(t, encryption.Config{Keys: c.Keys}) // the data key of c is still good
	sent, err := fresh.Encode(t.Context(), message())
	require.NoError(t, err)
	require.Equal(t, "k2", sent.Headers[payload.HeaderEncryptionKeyID])
	for _, m := range []payload.Message{old, sent} {
		_, err := fresh.Decode(t.Context(), m)
		require.NoError(t, err)
	}

	keyring(t, path, "k2")
	late := codec(t, encryption.Config{Keys: c.Keys})
	_, err = late.Decode(t.Context(), old)
	keyErr, ok := errors.AsType[*encryption.KeyError](err)
	require.True(t, ok)
	require.Equal(t, "k1", keyErr.KeyID)

	keyring(t, path, "k2", "k1")
	_, err = late.Decode(t.Context(), old)
	require.NoError(t, err, "the key is back, and the same process reads the message")
}

// kms is a key management service that counts, and fails when it has to.
type kms struct {
	encryption.Keys
	wraps, unwraps atomic.Int64
	fail           atomic.Pointer[error]
	slow           bool
}

func (k *kms) Wrap(ctx context.Context, topic string, key []byte) (encryption.Wrapped, error) {
	k.wraps.Add(1)
	if k.slow {
		<-ctx.Done()
		return encryption.Wrapped{}, ctx.Err()
	}
	if err := k.fail.Load(); err != nil {
		return encryption.Wrapped{}, *err
	}
	return k.Keys.Wrap(ctx, topic, key)
}

func (k *kms) Unwrap(ctx context.Context, topic string, w encryption.Wrapped) ([]byte, error) {
	k.unwraps.Add(1)
	if err := k.fail.Load(); err != nil {
		return nil, *err
	}
	return k.Keys.Unwrap(ctx, topic, w)
}

func TestCodec_ADataKeyIsUsedForAWhileAndForSoManyMessages(t *testing.T) {
	t.Parallel()
	inner, _ := ring(t, "k1")
	synctest.Test(t, func(t *testing.T) {
		k := &kms{Keys: inner.Keys}
		c := codec(t, encryption.Config{Keys: k, KeyLifetime: time.Minute, KeyMessages: 10})
		send := func(topic string) payload.Message {
			m := message()
			m.Topic = topic
			sent, err := c.Encode(t.Context(), m)
			require.NoError(t, err)
			return sent
		}
		first := send("orders.v1")
		for range 9 {
			require.Equal(t, first.Headers[payload.HeaderEncryptionKey], send("orders.v1").Headers[payload.HeaderEncryptionKey])
		}
		require.NotEqual(t, first.Headers[payload.HeaderEncryptionKey], send("orders.v1").Headers[payload.HeaderEncryptionKey])
		require.EqualValues(t, 2, k.wraps.Load(), "ten messages per key")
		send("payments.v1")
		require.EqualValues(t, 3, k.wraps.Load(), "each topic has its own")
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble of synctest
		send("orders.v1")
		require.EqualValues(t, 4, k.wraps.Load(), "a minute per key")

		for range 3 {
			_, err := c.Decode(t.Context(), first)
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, k.unwraps.Load())
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble of synctest
		_, err := c.Decode(t.Context(), first)
		require.NoError(t, err)
		require.EqualValues(t, 2, k.unwraps.Load(), "a key that was withdrawn is not remembered for longer")
	})
}

// A service that does not answer is no fault of a message.
func TestCodec_AnUnavailableServiceIsNobodysFault(t *testing.T) {
	t.Parallel()
	inner, _ := ring(t, "k1")
	sent, err := inner.Encode(t.Context(), message())
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		slow := codec(t, encryption.Config{Keys: &kms{Keys: inner.Keys, slow: true}, Timeout: time.Second})
		began := time.Now()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				_, err := slow.Encode(t.Context(), message())
				require.ErrorIs(t, err, payload.ErrUnavailable)
			})
		}
		all.Wait()
		require.Equal(t, 3*time.Second, time.Since(began), "one at a time, each for its second")

		k := &kms{Keys: inner.Keys}
		down := errors.New("503")
		k.fail.Store(&down)
		c := codec(t, encryption.Config{Keys: k})
		_, err := c.Decode(t.Context(), sent)
		require.ErrorIs(t, err, payload.ErrUnavailable)
		k.fail.Store(nil)
		_, err = c.Decode(t.Context(), sent)
		require.NoError(t, err)
	})
}

func TestOpenKeyring_RefusesWhatIsNoneAndNamesNoKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyring.json")
	for text, says := range map[string]string{
		`{`:                                      "it is not a keyring",
		`{"primary":"a","keys":{"a":"secret!"}}`: "it is not a keyring",
		`{"primary":"a","keys":{"a":"c2VjcmV0"}}`:      `key "a": a key has 32 bytes, not 6`,
		`{"primary":"a","keys":{}}`:                    `the primary key "a" is not in it`,
		`{"primary":"a","topics":{"t":"b"},"keys":{}}`: `a topic has the key "b"`,
		`{"primary":"a","kyes":{}}`:                    "it is not a keyring",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := encryption.OpenKeyring(path)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "secret")
	}
	keyring(t, path, "k1")
	require.NoError(t, os.Chmod(path, 0o644))
	_, err := encryption.OpenKeyring(path)
	require.ErrorContains(t, err, "chmod 600")
	_, err = encryption.OpenKeyring(path + "?")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func BenchmarkCodec(b *testing.B) {
	path := filepath.Join(b.TempDir(), "keyring.json")
	require.NoError(b, os.WriteFile(path, []byte(`{"primary":"a","keys":{"a":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}`), 0o600))
	keys, err := encryption.OpenKeyring(path)
	require.NoError(b, err)
	c, err := encryption.New(encryption.Config{Keys: keys})
	require.NoError(b, err)
	m := message()
	m.Value = make([]byte, 300)
	sent, err := c.Encode(b.Context(), m)
	require.NoError(b, err)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Encode(b.Context(), m)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Decode(b.Context(), sent)
		}
	})
}
