package encryption_test

import (
	"context"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/payload/encryption"
)

// The sender and the receiver have the same keyring file.
func Example() {
	keys, err := encryption.OpenKeyring("/etc/waybill/keyring.json")
	if err != nil {
		return // say what is wrong with it, and do not start
	}
	codec, err := encryption.New(encryption.Config{Keys: keys, Topics: []string{"payments.v1"}})
	if err != nil {
		return
	}

	// The sender.
	messages := outbox.Writer{Payloads: codec}
	pay := func(ctx context.Context, tx pgx.Tx, id string) error {
		return messages.Append(ctx, tx, outbox.Message{
			Topic: "payments.v1", Key: id, Type: "PaymentMade", Payload: []byte(`{"card":"…"}`),
		})
	}

	// The receiver: what its functions get is decrypted.
	processor := inbox.Processor[string, struct{}]{Consumer: "books", Payloads: codec}
	_, _ = pay, processor.Process
}
