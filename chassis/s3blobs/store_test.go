package s3blobs_test

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/s3blobs"
	"waybill.example/sdk/payload"
	"waybill.example/sdk/payload/claimcheck"
)

// bucket is a store in a bucket of a server of its own.
func bucket(t *testing.T) (*s3blobs.Store, *httptest.Server) {
	t.Helper()
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("payloads"))
	server := httptest.NewServer(gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	t.Cleanup(server.Close)
	store, err := s3blobs.New(s3blobs.Config{
		Endpoint: server.URL, Region: "us-east-1", Bucket: "payloads", Prefix: "/orders/", AccessKey: "me", SecretKey: "secret",
	})
	require.NoError(t, err)
	return store, server
}

func directory(t *testing.T) *claimcheck.Dir {
	t.Helper()
	store, err := claimcheck.OpenDir(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

// Every store does the same.
func TestStores_KeepReplaceListAndDelete(t *testing.T) {
	t.Parallel()
	s3, _ := bucket(t)
	for name, store := range map[string]claimcheck.BlobStore{"directory": directory(t), "S3": s3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := func(before time.Time) (names []string) {
				for name, err := range store.Old(t.Context(), before) {
					require.NoError(t, err)
					names = append(names, name)
				}
				return names
			}
			ctx := t.Context()
			_, err := store.Get(ctx, "t/a/1", 10)
			require.ErrorIs(t, err, claimcheck.ErrNotFound)
			require.NoError(t, store.Put(ctx, "t/a/1", []byte("one")))
			require.NoError(t, store.Put(ctx, "t/a/1", []byte("uno")))
			require.NoError(t, store.Put(ctx, "t/a/2", []byte("two")))
			got, err := store.Get(ctx, "t/a/1", 3)
			require.NoError(t, err)
			require.Equal(t, "uno", string(got))
			_, err = store.Get(ctx, "t/a/1", 2)
			require.ErrorIs(t, err, claimcheck.ErrTooLarge)

			require.Empty(t, old(time.Now().Add(-time.Hour)))
			require.ElementsMatch(t, []string{"t/a/1", "t/a/2"}, old(time.Now().Add(time.Hour)))
			n, err := claimcheck.Collect(ctx, store, time.Now().Add(time.Hour))
			require.NoError(t, err)
			require.Equal(t, 2, n)
			require.Empty(t, old(time.Now().Add(time.Hour)))
			require.NoError(t, store.Delete(ctx, "t/a/1"), "it is gone already")
			require.NoError(t, store.Put(ctx, "t/a/1", []byte("again")))
		})
	}
}

// A large payload goes into the store, and comes back; what is changed, missing or unreachable says
// so.
func TestCodec_LargePayloadsAreKeptInTheStore(t *testing.T) {
	t.Parallel()
	s3, server := bucket(t)
	for name, store := range map[string]claimcheck.BlobStore{"directory": directory(t), "S3": s3} {
		codec, err := claimcheck.New(claimcheck.Config{Store: store, Threshold: 1000, MaxBytes: 3_000_000})
		require.NoError(t, err)
		m := payload.Message{ID: uuid.New(), Topic: "orders.v1", Type: "T", Headers: map[string]string{"content-type": "image/png"}, Value: bytes.Repeat([]byte("x"), 1000)}
		same, err := codec.Encode(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, m, same, "at the threshold it is not large")

		m.Value = bytes.Repeat([]byte("x"), 2_000_000)
		sent, err := codec.Encode(t.Context(), m)
		require.NoError(t, err)
		require.Empty(t, sent.Value)
		ref := sent.Headers[payload.HeaderDataRef]
		require.True(t, strings.HasPrefix(ref, "orders.v1/"+m.ID.String()+"/"), ref)
		require.Equal(t, "image/png", sent.Headers["content-type"], "of what is referred to")
		require.Contains(t, payload.Describe(func(name string) string { return sent.Headers[name] }), "kept in the blob store")
		read, err := codec.Decode(t.Context(), sent)
		require.NoError(t, err)
		require.Equal(t, m, read, name)

		foreign := sent
		foreign.ID = uuid.New()
		_, err = codec.Decode(t.Context(), foreign)
		require.ErrorContains(t, err, "not the name of a blob of this message")

		require.NoError(t, store.Put(t.Context(), ref, []byte("changed")))
		_, err = codec.Decode(t.Context(), sent)
		require.ErrorContains(t, err, "its SHA-256 is another")

		require.NoError(t, store.Delete(t.Context(), ref))
		_, err = codec.Decode(t.Context(), sent)
		require.EqualError(t, err, `the payload is not in the blob store: "`+ref+`" is missing`)
		require.NotErrorIs(t, err, payload.ErrUnavailable)
		_, err = codec.Encode(t.Context(), sent)
		require.NoError(t, err, "a dead letter keeps its reference")

		m.Value = make([]byte, 3_000_001)
		_, err = codec.Encode(t.Context(), m)
		require.ErrorContains(t, err, "receivers accept 3000000")
	}

	// Nothing is sent whose blob is not stored, and a message waits whose blob cannot be asked for.
	codec, err := claimcheck.New(claimcheck.Config{Store: s3, Threshold: 1, Timeout: time.Minute})
	require.NoError(t, err)
	m := payload.Message{ID: uuid.New(), Topic: "orders.v1", Type: "T", Value: []byte("xx")}
	sent, err := codec.Encode(t.Context(), m)
	require.NoError(t, err)
	server.Close()
	codec, err = claimcheck.New(claimcheck.Config{Store: s3, Threshold: 1, Timeout: 500 * time.Millisecond})
	require.NoError(t, err)
	_, err = codec.Encode(t.Context(), m)
	require.ErrorIs(t, err, payload.ErrUnavailable)
	_, err = codec.Decode(t.Context(), sent)
	require.ErrorIs(t, err, payload.ErrUnavailable)
}

func TestNew_RefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []s3blobs.Config{
		{Endpoint: "minio:9000", Bucket: "b"},
		{Endpoint: "ftp://minio", Bucket: "b"},
		{Endpoint: "https://minio/bucket", Bucket: "b"},
		{Endpoint: "https://minio"},
	} {
		_, err := s3blobs.New(c)
		require.Error(t, err, c)
	}
}
