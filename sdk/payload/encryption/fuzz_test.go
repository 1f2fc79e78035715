package encryption_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"waybill.example/sdk/payload"
	"waybill.example/sdk/payload/encryption"
)

// FuzzDecode feeds what anybody may write to a topic: nothing but what was encrypted for this very
// message decrypts, and nothing crashes.
func FuzzDecode(f *testing.F) {
	path := filepath.Join(f.TempDir(), "keyring.json")
	text := []byte(`{"primary":"k","keys":{"k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}}`)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		f.Fatal(err)
	}
	keys, err := encryption.OpenKeyring(path)
	if err != nil {
		f.Fatal(err)
	}
	codec, err := encryption.New(encryption.Config{Keys: keys, Cached: 4})
	if err != nil {
		f.Fatal(err)
	}
	plain := payload.Message{ID: uuid.UUID{1}, Topic: "t", Key: "k", Type: "T", Value: []byte("secret")}
	sent, err := codec.Encode(context.Background(), plain)
	if err != nil {
		f.Fatal(err)
	}
	h := sent.Headers
	f.Add(sent.Value, sent.Key, sent.Type, h[payload.HeaderEncryption], h[payload.HeaderEncryptionKeyID],
		h[payload.HeaderEncryptionKey], h[payload.HeaderEncryptedContentType])
	f.Add([]byte{}, "", "", "A256GCM", "", "", "")
	f.Add([]byte("x"), "k", "T", "A256GCM", "k", "AAAA", "")
	f.Fuzz(func(t *testing.T, value []byte, key, kind, algorithm, keyID, wrapped, contentType string) {
		got, err := codec.Decode(t.Context(), payload.Message{
			ID: plain.ID, Topic: "t", Key: key, Type: kind, Value: value, Headers: map[string]string{
				payload.HeaderEncryption: algorithm, payload.HeaderEncryptionKeyID: keyID,
				payload.HeaderEncryptionKey: wrapped, payload.HeaderEncryptedContentType: contentType,
			},
		})
		genuine := bytes.Equal(value, sent.Value) && key == "k" && kind == "T"
		if algorithm != "" && err == nil && (!genuine || !bytes.Equal(got.Value, plain.Value)) {
			t.Fatalf("it decrypts: %q", got.Value)
		}
	})
}
