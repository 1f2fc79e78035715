package participant_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/participant"
)

// What a command costs with the kit, and without: the same effect on a bare inbox.Processor, which
// is not once per saga.
//
//	go test -run - -bench Commands ./sdktest/participant/
func BenchmarkCommands(b *testing.B) {
	const batch = 100
	db := pgtest.New(b, migrations.Outbox, migrations.Participant)
	_, err := db.Pool.Exec(b.Context(), `create table effects (id bigint generated always as identity, saga text, what text)`)
	require.NoError(b, err)
	kit, err := participant.New(participant.Config{Consumer: "hotel", DB: db.Pool, Topic: "hotel.v1"}, step())
	require.NoError(b, err)
	bare := inbox.Processor[string, struct{}]{
		Consumer: "bare", DB: db.Pool,
		Decode: func(d inbox.Delivery) (uuid.UUID, string, error) {
			id, err := uuid.Parse(d.Header("ce_id"))
			return id, string(d.Key), err
		},
		Apply: func(ctx context.Context, tx *inbox.Tx, _ *struct{}, batch []inbox.Received[string]) ([]outbox.Message, error) {
			var out []outbox.Message
			for _, r := range batch {
				if _, err := reserve(ctx, tx.Tx, participant.Command[room]{Saga: r.Message}); err != nil {
					return nil, err
				}
				out = append(out, outbox.Message{Topic: "hotel.v1", Key: r.Message, Type: "RoomReserved", Payload: []byte(`{"number":7}`)})
			}
			return out, nil
		},
	}
	for name, process := range map[string]func(context.Context, []inbox.Delivery) error{
		"bare": bare.Process, "kit": kit.Process, "kit, one refusal per batch": kit.Process,
	} {
		full := name != "bare" && name != "kit"
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				deliveries := make([]inbox.Delivery, batch)
				for i := range deliveries {
					n++
					deliveries[i] = command("ReserveRoom", fmt.Sprint(name, b.N, n), body(7, full && i == batch/2))
				}
				require.NoError(b, process(b.Context(), deliveries))
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/command")
		})
	}
}
