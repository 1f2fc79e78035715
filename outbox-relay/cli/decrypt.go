package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/sdk/payload"
	"waybill.example/sdk/payload/encryption"
)

// decrypt returns the row with its payload decrypted by a keyring. A row that is not encrypted is
// returned as it is, and so, with an error, is one that cannot be decrypted.
func decrypt(ctx context.Context, keyring string, row ops.Row) (ops.Row, error) {
	var headers map[string]string
	if err := json.Unmarshal(row.Headers, &headers); err != nil {
		headers = nil // no headers that name a key: it is not encrypted
	}
	if headers[payload.HeaderEncryption] == "" {
		return row, nil
	}
	if int64(len(row.Payload)) < row.PayloadBytes {
		return row, fmt.Errorf("only its first %d bytes are read", len(row.Payload))
	}
	keys, err := encryption.OpenKeyring(keyring)
	if err != nil {
		return row, err
	}
	codec, err := encryption.New(encryption.Config{Keys: keys, Topics: []string{}})
	if err != nil {
		return row, err
	}
	id, err := uuid.Parse(row.EventID)
	if err != nil {
		return row, fmt.Errorf("its event id: %w", err)
	}
	m := payload.Message{ID: id, Topic: row.Topic, Type: row.Type, Headers: headers, Value: row.Payload}
	if row.Key != nil {
		m.Key = *row.Key
	}
	plain, err := codec.Decode(ctx, m)
	if err != nil {
		return row, err
	}
	row.Payload, row.PayloadBytes = plain.Value, int64(len(plain.Value))
	row.Headers, err = json.Marshal(plain.Headers)
	return row, err
}
