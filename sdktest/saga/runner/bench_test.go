package runner_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/orderflow"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga/runner"
)

const historySQL = `
insert into sagas (id, definition, version, phase, state, revision, steps, data, started_at, updated_at, ended_at, wake_at)
select (1000000000 + n)::text, 'order', 1, 'COMPLETED', 'CONFIRMED', 3,
       '[{"status":"done"},{"status":"done","attempt":1},{"status":"done","attempt":1}]',
       '{"orderId":1,"userId":"u1","sku":"burger","quantity":2}', t, t, t, null
from (select n, now() - interval '1 day' + n * interval '10 ms' as t from generate_series(1, $1::int) as n) as s`

// BenchmarkSagas carries sagas from start to end, 500 messages per transaction, inbox and outbox
// included, beside a table of sagas that have ended:
//
//	SAGA_HISTORY=1000000 go test -run - -bench Sagas ./sdktest/saga/store
func BenchmarkSagas(b *testing.B) {
	db := pgtest.New(b, migrations.Outbox, migrations.Orchestrator)
	history, _ := strconv.Atoi(os.Getenv("SAGA_HISTORY"))
	_, err := db.Pool.Exec(b.Context(), historySQL, history)
	require.NoError(b, err)
	for _, sql := range []string{"vacuum analyze sagas", "checkpoint"} { // as after a quiet hour
		_, err = db.Pool.Exec(b.Context(), sql)
		require.NoError(b, err)
	}
	definitions, err := orderflow.Definitions(ordersaga.DefaultTiming())
	require.NoError(b, err)
	r, err := runner.New(b.Context(), runner.Config{DB: db.Pool, Consumer: "orchestrator", Definitions: definitions, Codec: orderflow.Codec{}, Content: orderflow.Content})
	require.NoError(b, err)
	id := int64(0)
	b.ResetTimer()
	for b.Loop() {
		carry(b, r, db.Pool, id, 500)
		id += 500
	}
	b.ReportMetric(float64(id)/b.Elapsed().Seconds(), "sagas/s")
}

// carry takes n sagas through their three messages, each round in one transaction.
func carry(b *testing.B, r *runner.Runner, db *pgxpool.Pool, from, n int64) {
	b.Helper()
	commands := map[string]uuid.UUID{}
	for round := range 3 {
		batch := make([]inbox.Delivery, n)
		for i := range n {
			order := from + i + 1
			e := contracts.NewEnvelope(order, commands[strconv.FormatInt(order, 10)], time.Now())
			var m contracts.Message
			switch round {
			case 0:
				m = contracts.OrderCreated{Envelope: e, UserID: "u1", SKU: "burger", Quantity: 2}
			case 1:
				m = contracts.InventoryReserved{Envelope: e, Reserved: true}
			default:
				m = contracts.OrderConfirmed{Envelope: e}
			}
			record, err := contracts.Encode(m)
			require.NoError(b, err)
			batch[i] = inbox.Delivery{Topic: record.Topic, Offset: order, Key: []byte(record.Key), Value: record.Payload}
		}
		require.NoError(b, r.Process(b.Context(), batch), "round %d", round)
		b.StopTimer()
		rows, err := db.Query(b.Context(), "select distinct on (key) key, event_id from outbox where id > (select max(id) - $1 from outbox) order by key, id desc", n)
		require.NoError(b, err)
		var key string
		var id uuid.UUID
		_, err = pgx.ForEachRow(rows, []any{&key, &id}, func() error { commands[key] = id; return nil })
		require.NoError(b, err)
		require.NoError(b, rows.Err())
		b.StartTimer()
	}
}
