package inbox_test

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

func ExampleProcessor() {
	var pool *pgxpool.Pool // the service's own database
	p := inbox.Processor[string]{
		Consumer: "greeter",
		DB:       pool,
		Decode: func(d inbox.Delivery) (uuid.UUID, string, error) {
			id, err := uuid.Parse(d.Header("ce_id"))
			return id, string(d.Value), err
		},
		Apply: func(ctx context.Context, tx *inbox.Tx, batch []inbox.Received[string]) ([]outbox.Message, error) {
			var answers []outbox.Message
			for _, m := range batch {
				answers = append(answers, outbox.Message{Topic: "greetings", Type: "Greeted", Payload: []byte("hello " + m.Message)})
			}
			return answers, nil
		},
	}
	_ = p.Process // called with each batch that Kafka delivers
}
