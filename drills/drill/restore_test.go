package drill_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

// What the runbook has operators run after a restore of Orders gives each order back once, with the
// very event that its saga began with, and ids go on above.
func TestRecoverOrders_GivesEachLostOrderBackOnceWithItsEvent(t *testing.T) {
	t.Parallel()
	query, err := os.ReadFile("../../docs/recover-orders.sql")
	require.NoError(t, err)
	orders := pgtest.New(t, migrations.Outbox, migrations.Orders).Pool
	sagas := pgtest.New(t, migrations.Outbox, migrations.Orchestrator).Pool

	event := contracts.OrderCreated{
		Envelope: contracts.NewEnvelope(17, uuid.Nil, time.Now().Truncate(time.Microsecond)),
		UserID:   `o'brien "x" <&> \`, SKU: "bürger", Quantity: 3,
	}
	record, err := contracts.Encode(event)
	require.NoError(t, err)
	_, err = sagas.Exec(t.Context(), `
insert into sagas (id, definition, version, phase, state, revision, steps, data, started_at, updated_at, deadline)
values ($1, 'order', 1, 'RUNNING', 'RUNNING', 1, '[]',
        jsonb_build_object('orderId', 17, 'userId', $2::text, 'sku', $3::text, 'quantity', 3), $4, $4, 'infinity')`,
		record.Key, event.UserID, event.SKU, event.Time)
	require.NoError(t, err)
	_, err = sagas.Exec(t.Context(), `
insert into saga_transitions (saga_id, definition, seq, at, kind, from_state, to_state, step, cause_id, cause_type, actor, note, commands)
values ($1, 'order', 1, $2, 'started', '', 'RUNNING', '', $3, 'OrderCreated', '', '', '[]')`, record.Key, event.Time, record.EventID)
	require.NoError(t, err)

	for range 2 {
		rows, err := sagas.Query(t.Context(), string(query))
		require.NoError(t, err)
		statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		_, err = orders.Exec(t.Context(), strings.Join(statements, "\n"))
		require.NoError(t, err)
	}
	var order, sent string
	require.NoError(t, orders.QueryRow(t.Context(), `
select concat_ws('|', id, user_id, sku, quantity, status) from orders`).Scan(&order))
	require.Equal(t, fmt.Sprintf("17|%s|%s|3|PENDING", event.UserID, event.SKU), order)
	var id uuid.UUID
	var payload []byte
	require.NoError(t, orders.QueryRow(t.Context(), `select event_id, concat_ws('|', topic, key, type), payload from outbox`).Scan(&id, &sent, &payload))
	require.Equal(t, record.EventID, id)
	require.Equal(t, "orders.v1|17|OrderCreated", sent)
	require.Equal(t, string(contracts.Content(record.Payload)), string(contracts.Content(payload)))
	var next int64
	require.NoError(t, orders.QueryRow(t.Context(), `select nextval('orders_id_seq')`).Scan(&next))
	require.Equal(t, int64(1018), next)
}
