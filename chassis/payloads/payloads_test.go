package payloads_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"waybill.example/chassis/payloads"
	"waybill.example/sdk/payload"
)

const ring = `{"primary":"k1","keys":{"k1":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}}`

func keyring(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	require.NoError(t, os.WriteFile(path, []byte(ring), 0o600))
	return path
}

func TestNew_DoesNothingUnlessItIsAsked(t *testing.T) {
	t.Parallel()
	p, err := payloads.New(payloads.Config{}, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Nil(t, p.Codec)
}

// What is kept in the blob store is encrypted, and a message says both.
func TestNew_EncryptsWhatIsKeptInTheBlobStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := payloads.New(payloads.Config{
		Keyring: keyring(t), EncryptTopics: []string{"*"}, Blobs: payloads.BlobConfig{Store: "file://" + dir, Threshold: 100},
	}, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	m := payload.Message{ID: uuid.New(), Topic: "orders.v1", Type: "T", Value: []byte(strings.Repeat("secret", 100))}
	sent, err := p.Codec.Encode(t.Context(), m)
	require.NoError(t, err)
	require.Empty(t, sent.Value)
	stored, err := os.ReadFile(filepath.Join(dir, sent.Headers[payload.HeaderDataRef]))
	require.NoError(t, err)
	require.NotContains(t, string(stored), "secret")
	said := payload.Describe(func(name string) string { return sent.Headers[name] })
	require.Regexp(t, `^kept in the blob store as "orders.v1/.*", encrypted with key "k1" \(A256GCM\)$`, said)
	read, err := p.Codec.Decode(t.Context(), sent)
	require.NoError(t, err)
	require.Equal(t, m.Value, read.Value)
}

func TestNew_EncryptsTheTopicsThatItIsGiven(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		topics    []string
		encrypted bool
	}{{[]string{"*"}, true}, {[]string{"none"}, false}, {[]string{"a", "orders.v1"}, true}, {[]string{"a"}, false}} {
		p, err := payloads.New(payloads.Config{Keyring: keyring(t), EncryptTopics: c.topics}, nil, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		sent, err := p.Codec.Encode(t.Context(), payload.Message{ID: uuid.New(), Topic: "orders.v1", Type: "T", Value: []byte("x")})
		require.NoError(t, err)
		require.Equal(t, c.encrypted, sent.Headers[payload.HeaderEncryption] != "", c.topics)
	}
}

func TestNew_SaysWhichSettingIsWrong(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]payloads.Config{
		"PAYLOAD_KEYRING": {Keyring: "/nowhere"},
		"PAYLOAD_BLOBS":   {Blobs: payloads.BlobConfig{Store: "ftp://x"}},
		"has no schemas":  {Schemas: payloads.SchemaConfig{Validate: true}},
		"file:///dir":     {Blobs: payloads.BlobConfig{Store: "file://"}},
	} {
		_, err := payloads.New(c, nil, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, says)
	}
	require.Len(t, payloads.Config{EncryptTopics: []string{"*", "a"}, RequiredTopics: []string{"a"}, KeyLifetime: -1}.Validate(), 3)
	require.Len(t, payloads.BlobConfig{Threshold: -1, Store: "%"}.Validate(), 2)
}

// All at once: checked, in the registry's wire format, encrypted, and kept in the blob store.
func TestNew_ChecksFramesEncryptsAndKeeps(t *testing.T) {
	t.Parallel()
	registry := srfake.New()
	defer registry.Close()
	schemas := fstest.MapFS{"T.json": {Data: []byte(`{"type":"object","required":["id"]}`)}}
	p, err := payloads.New(payloads.Config{
		Keyring: keyring(t), EncryptTopics: []string{"*"}, Blobs: payloads.BlobConfig{Store: "file://" + t.TempDir(), Threshold: 1},
		Schemas: payloads.SchemaConfig{Validate: true, Registry: registry.URL(), Topics: []string{"*"}, Register: true},
	}, schemas, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	m := payload.Message{ID: uuid.New(), Topic: "t", Type: "T", Value: []byte(`{"id":1}`)}
	sent, err := p.Codec.Encode(t.Context(), m)
	require.NoError(t, err)
	require.True(t, registry.SubjectExists("t-T"))
	require.Empty(t, sent.Value)
	said := payload.Describe(func(name string) string { return sent.Headers[name] })
	require.Regexp(t, "kept in the blob store as .*, encrypted with key .*, in the wire format of a schema registry", said)
	read, err := p.Codec.Decode(t.Context(), sent)
	require.NoError(t, err)
	require.Equal(t, m.Value, read.Value)
	require.Equal(t, map[string]string{"content-type": "application/json"}, read.Headers)
	m.Value = []byte(`{}`)
	m.Received = true
	kept, err := p.Codec.Encode(t.Context(), m)
	require.NoError(t, err, "a dead letter may be wrong, and is encrypted all the same")
	require.NotEmpty(t, kept.Headers[payload.HeaderEncryption])
	m.Received = false
	_, err = p.Codec.Encode(t.Context(), m)
	require.ErrorContains(t, err, "does not adhere to the schema of T")
}
