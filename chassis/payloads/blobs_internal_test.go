package payloads

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/payload"
)

func TestCollect_RemovesTheBlobsThatAreOlderThanTheRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := New(Config{Blobs: BlobConfig{Store: "file://" + dir, Threshold: 1, Retention: time.Hour}}, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	keep := func(age time.Duration) string {
		sent, err := p.Codec.Encode(t.Context(), payload.Message{ID: uuid.New(), Topic: "orders.v1", Type: "T", Value: []byte("large")})
		require.NoError(t, err)
		path := filepath.Join(dir, sent.Headers[payload.HeaderDataRef])
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
		return path
	}
	old, older, young := keep(61*time.Minute), keep(24*time.Hour), keep(59*time.Minute)
	n, err := p.collect(t.Context(), 1)
	require.NoError(t, err)
	require.Zero(t, n, "there is no next batch: all are removed at once")
	require.NoFileExists(t, old)
	require.NoFileExists(t, older)
	require.FileExists(t, young)
}
