package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/sdk/payload"
	"waybill.example/sdk/payload/encryption"
)

// keyring writes one whose only key consists of a letter.
func keyring(t *testing.T, name, letter string) string {
	t.Helper()
	key, err := json.Marshal([]byte(strings.Repeat(letter, 32)))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "keyring.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"primary":"`+name+`","keys":{"`+name+`":`+string(key)+`}}`), 0o600))
	return path
}

// An operator with the keys reads what a row carries; one without learns what it takes, and sees
// the rest of the row.
func TestShow_DecryptsWithAKeyring(t *testing.T) {
	t.Parallel()
	ring := keyring(t, "2026-11", "k")
	keys, err := encryption.OpenKeyring(ring)
	require.NoError(t, err)
	codec, err := encryption.New(encryption.Config{Keys: keys})
	require.NoError(t, err)
	id, key := uuid.New(), "17"
	sent, err := codec.Encode(t.Context(), payload.Message{ID: id, Topic: "orders.v1", Key: key, Type: "OrderCreated", Value: []byte(`{"note":"secret"}`)})
	require.NoError(t, err)
	headers, err := json.Marshal(sent.Headers)
	require.NoError(t, err)
	row := ops.Row{
		RowSummary: ops.RowSummary{ID: 1, EventID: id.String(), Topic: "orders.v1", Key: &key, Type: "OrderCreated"},
		Headers:    headers, Payload: sent.Value, PayloadBytes: int64(len(sent.Value)),
	}

	plain, err := decrypt(t.Context(), ring, row)
	require.NoError(t, err)
	require.JSONEq(t, `{"note":"secret"}`, printable(plain, err))

	same, err := decrypt(t.Context(), keyring(t, "another", "x"), row)
	require.Error(t, err)
	require.Equal(t, row, same)
	require.Regexp(t, `encrypted with key "2026-11" .*not decrypted: `, printable(same, err))

	cut := row
	cut.Payload = row.Payload[:5]
	_, err = decrypt(t.Context(), ring, cut)
	require.ErrorContains(t, err, "first 5 bytes")

	inTheClear := ops.Row{Payload: []byte("x"), PayloadBytes: 1, Headers: json.RawMessage(`{}`)}
	same, err = decrypt(t.Context(), "no such file", inTheClear)
	require.NoError(t, err)
	require.Equal(t, inTheClear, same)
}
