package store_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

const historySQL = `
insert into sagas (id, definition, version, phase, state, revision, steps, data, started_at, updated_at, ended_at)
select (1000000000 + n)::text, 'order', 1, 'COMPLETED', 'CONFIRMED', 3,
       '[{"status":"done"},{"status":"done","attempt":1},{"status":"done","attempt":1}]',
       '{"orderId":1,"userId":"u1","sku":"burger","quantity":2}', t, t, t
from (select n, now() - interval '1 day' + n * interval '10 ms' as t from generate_series(1, $1::int) as n) as s`

// BenchmarkSagas carries sagas from start to end, 500 messages a transaction,
// inbox and outbox included, beside a table of sagas that have ended:
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
	def, err := ordersaga.Definition(ordersaga.DefaultTiming())
	require.NoError(b, err)
	registry, err := saga.NewRegistry(def)
	require.NoError(b, err)
	s := &store.Store{Pool: db.Pool, Registry: registry, Encode: func(c saga.Command) (outbox.Message, error) {
		r, err := ordersaga.Encode(c)
		return outbox.Message(r), err
	}}
	id := int64(0)
	b.ResetTimer()
	for b.Loop() {
		carry(b, s, id, 500)
		id += 500
	}
	b.ReportMetric(float64(id)/b.Elapsed().Seconds(), "sagas/s")
}

// carry takes n sagas through their three messages, each round in one transaction.
func carry(b *testing.B, s *store.Store, from, n int64) {
	b.Helper()
	var last []outbox.Message
	for round := range 3 {
		events := make([]store.Event, n)
		entries := make([]inbox.Entry, n)
		for i := range n {
			order, cause := from+i+1, uuid.Nil
			if round > 0 {
				cause = last[i].EventID
			}
			e := contracts.NewEnvelope(order, cause, time.Now())
			var m contracts.Message
			switch round {
			case 0:
				m = contracts.OrderCreated{Envelope: e, UserID: "u1", SKU: "burger", Quantity: 2}
			case 1:
				m = contracts.InventoryReserved{Envelope: e, Reserved: true}
			default:
				m = contracts.OrderConfirmed{Envelope: e}
			}
			r, err := contracts.Encode(m)
			require.NoError(b, err)
			decoded, err := contracts.Decode(r.Topic, r.Payload, func(name string) string { return r.Headers[name] })
			require.NoError(b, err)
			events[i] = store.Event{Input: ordersaga.Message(decoded, r.Payload, "")}
			entries[i] = inbox.Entry{EventID: r.EventID, Delivery: inbox.Delivery{Topic: r.Topic, Offset: order}}
		}
		require.NoError(b, pgx.BeginFunc(b.Context(), s.Pool, func(tx pgx.Tx) (err error) {
			if _, err = inbox.Accept(b.Context(), tx, "orchestrator", entries); err != nil {
				return err
			}
			if last, err = applyIn(b.Context(), s, tx, events, time.Now()); err != nil {
				return err
			}
			return outbox.Append(b.Context(), tx, last...)
		}), "round %d", round)
	}
}
