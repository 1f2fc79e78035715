package schematest_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/devstack/schematest"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestOutbox_CountsWhatIsValidAndLeavesOutWhatOthersSent(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	record, err := contracts.Encode(contracts.ReleaseInventory{Envelope: contracts.NewEnvelope(7, uuid.Nil, time.Now())})
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload)
		values ('inventory.commands.v1', '7', 'ReleaseInventory', $1), ('orders.v1.dlq', '7', 'OrderCreated', '{}'), ('elsewhere', '7', 'T', '{}')`, record.Payload)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"ReleaseInventory": 1}, schematest.Outbox(t, db.Pool))
}

func TestValidate_RefusesWhatIsNotOfTheType(t *testing.T) {
	t.Parallel()
	for messageType, payload := range map[string]string{
		"OrderCreated":    `{"eventId":"0198f2a0-0000-7000-8000-000000000001","type":"OrderCreated","time":"2026-01-01T00:00:00Z","orderId":0}`,
		"OrderConfirmed":  `{"eventId":"x","type":"OrderConfirmed","time":"2026-01-01T00:00:00Z","orderId":1}`,
		"OrderCancelled":  `{"eventId":"0198f2a0-0000-7000-8000-000000000001","type":"OrderConfirmed","time":"2026-01-01T00:00:00Z","orderId":1,"reason":"r"}`,
		"ConfirmOrder":    `not JSON`,
		"OrderDispatched": `{}`,
	} {
		require.Error(t, schematest.Validate(messageType, []byte(payload)), messageType)
	}
}
