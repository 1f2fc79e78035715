package audit_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/drills/audit"
	"waybill.example/drills/load"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) {
	pgtest.Main(m, goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kgo.(*Client).reapConnectionsLoop"))
}

// fixture is a stack's databases, topics and ledger without the services: the tests write what
// those would have written, and then spoil one thing.
type fixture struct {
	t      *testing.T
	dbs    map[string]*pgtest.Database
	broker *kafkatest.Broker
	ledger string
	cfg    audit.Config
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	w := &fixture{t: t, broker: kafkatest.Start(t, contracts.Topics()...), ledger: filepath.Join(t.TempDir(), "ledger.jsonl")}
	w.dbs = map[string]*pgtest.Database{
		"orders":       pgtest.New(t, migrations.Outbox, migrations.Orders),
		"inventory":    pgtest.New(t, migrations.Outbox, migrations.Inventory),
		"orchestrator": pgtest.New(t, migrations.Outbox, migrations.Orchestrator),
	}
	w.cfg = audit.Config{Databases: map[string]string{}, Brokers: []string{w.broker.Addr()}, Ledger: w.ledger}
	for name, db := range w.dbs {
		w.cfg.Databases[name] = db.URL
	}
	w.stock("burger", 100, 100)
	require.NoError(t, os.WriteFile(w.ledger, nil, 0o600))
	return w
}

// stock adds a sku, and the movement that says so.
func (w *fixture) stock(sku string, onHand, received int64) {
	w.t.Helper()
	w.sql("inventory", "insert into stock (sku, on_hand, received) values ($1, $2, $3)", sku, onHand, received)
	w.sql("inventory", "insert into stock_movements (sku, kind, delta, on_hand, reserved) values ($1, 'set', $2, $2, 0)", sku, received)
}

func (w *fixture) sql(db, statement string, args ...any) {
	w.t.Helper()
	_, err := w.dbs[db].Pool.Exec(w.t.Context(), statement, args...)
	require.NoError(w.t, err)
}

// send writes an outbox row, publishes it and has its consumer handle it.
func (w *fixture) send(db string, m contracts.Message, consumerDB, group string) uuid.UUID {
	w.t.Helper()
	record := w.row(db, m)
	w.publish(record)
	w.sql(consumerDB, `insert into inbox (event_id, consumer, topic, "partition", "offset") values ($1, $2, $3, 0, 0)`, record.EventID, group, record.Topic)
	return record.EventID
}

func (w *fixture) row(db string, m contracts.Message) contracts.Record {
	w.t.Helper()
	record, err := contracts.Encode(m)
	require.NoError(w.t, err)
	headers := record.Headers
	if headers == nil {
		headers = map[string]string{}
	}
	var id int64
	require.NoError(w.t, w.dbs[db].Pool.QueryRow(w.t.Context(),
		"insert into outbox (event_id, topic, key, type, payload, headers) values ($1, $2, $3, $4, $5, $6) returning id",
		record.EventID, record.Topic, record.Key, record.Type, record.Payload, headers).Scan(&id))
	w.sql(db, "update outbox_cursor set published = published + int8multirange(int8range($1, $1, '[]'))", id)
	return record
}

func (w *fixture) publish(records ...contracts.Record) {
	w.t.Helper()
	for _, r := range records {
		w.broker.Produce(w.t, kafkatest.Record{
			Topic: r.Topic, Key: []byte(r.Key), Value: r.Payload, Headers: map[string]string{"ce_id": r.EventID.String(), "ce_type": r.Type},
		})
	}
}

func envelope(order int64, cause uuid.UUID) contracts.Envelope {
	return contracts.NewEnvelope(order, cause, time.Now())
}

// user is the userId of a request.
func user(n int64) string { return fmt.Sprintf("u-%d", n) }

// place places an order and carries it through the whole flow, to CONFIRMED or CANCELLED. It
// returns its id.
func (w *fixture) place(quantity int32, confirm bool) int64 {
	w.t.Helper()
	id := w.carry(quantity, confirm)
	w.claim(id, id, quantity)
	return id
}

// carry is place without the client.
func (w *fixture) carry(quantity int32, confirm bool) int64 {
	w.t.Helper()
	ctx := w.t.Context()
	var id int64
	require.NoError(w.t, pgx.BeginFunc(ctx, w.dbs["orders"].Pool, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "insert into orders (user_id, sku, quantity, created_at) values ('u', 'burger', $1, now() - interval '30 seconds') returning id", quantity).Scan(&id)
	}))
	w.sql("orders", "update orders set user_id = $1 where id = $2", user(id), id)
	created := w.send("orders", contracts.OrderCreated{Envelope: envelope(id, uuid.Nil), UserID: "u", SKU: "burger", Quantity: quantity}, "orchestrator", "orchestrator")
	reserve := w.send("orchestrator", contracts.ReserveInventory{Envelope: envelope(id, created), SKU: "burger", Quantity: quantity}, "inventory", "inventory-service")
	var reply uuid.UUID
	if confirm {
		w.sql("inventory", "insert into reservations (order_id, sku, quantity, state) values ($1, 'burger', $2, 'RESERVED')", id, quantity)
		w.sql("inventory", "update stock set on_hand = on_hand - $1 where sku = 'burger'", quantity)
		reply = w.send("inventory", contracts.InventoryReserved{Envelope: envelope(id, reserve), Reserved: true}, "orchestrator", "orchestrator")
		confirm := w.send("orchestrator", contracts.ConfirmOrder{Envelope: envelope(id, reply)}, "orders", "orders-service")
		w.send("orders", contracts.OrderConfirmed{Envelope: envelope(id, confirm)}, "orchestrator", "orchestrator")
		w.sql("orders", "update orders set status = 'CONFIRMED' where id = $1", id)
	} else {
		w.sql("inventory", "insert into reservations (order_id, sku, quantity, state, reason) values ($1, 'burger', $2, 'REJECTED', 'no')", id, quantity)
		reply = w.send("inventory", contracts.InventoryRejected{Envelope: envelope(id, reserve), Reason: "no"}, "orchestrator", "orchestrator")
		cancel := w.send("orchestrator", contracts.CancelOrder{Envelope: envelope(id, reply), Reason: "no"}, "orders", "orders-service")
		w.send("orders", contracts.OrderCancelled{Envelope: envelope(id, cancel), Reason: "no"}, "orchestrator", "orchestrator")
		w.sql("orders", "update orders set status = 'CANCELLED', reason = 'no' where id = $1", id)
	}
	phase, state := "COMPLETED", "CONFIRMED"
	if !confirm {
		phase, state = "CANCELLED", "CANCELLED"
	}
	w.sql("orchestrator", `insert into sagas (id, definition, version, phase, state, revision, steps, data, started_at, updated_at, ended_at)
		values ($1, 'order', 1, $2, $3, 3, '[]', '{}', now(), now(), now())`, strconv.FormatInt(id, 10), phase, state)
	w.transition(id, 1, created)
	w.transition(id, 2, reply)
	return id
}

func (w *fixture) transition(order int64, seq int, cause uuid.UUID) {
	w.t.Helper()
	w.sql("orchestrator", `insert into saga_transitions (saga_id, definition, seq, at, kind, from_state, to_state, step, cause_id, cause_type, actor, note, commands)
		values ($1, 'order', $2, now(), 'replied', '', '', '', $3, '', '', '', '[]')`, strconv.FormatInt(order, 10), seq, cause)
}

// forget has the topics lose the messages of a key, and all before them.
func (w *fixture) forget(key string) {
	w.t.Helper()
	for _, topic := range contracts.Topics() {
		upTo := map[int32]int64{}
		for _, r := range w.broker.All(w.t, topic) {
			if string(r.Key) == key {
				upTo[r.Partition] = max(upTo[r.Partition], r.Offset+1)
			}
		}
		w.broker.DeleteRecords(w.t, topic, upTo)
	}
}

// claim writes what the client was answered into its ledger.
func (w *fixture) claim(n, order int64, quantity int32) {
	w.t.Helper()
	w.enter(load.Entry{N: n, UserID: user(n), Key: user(n), SKU: "burger", Quantity: quantity, Done: time.Now(), Status: 202, OrderID: order})
}

func (w *fixture) enter(e load.Entry) {
	w.t.Helper()
	line, err := json.Marshal(e)
	require.NoError(w.t, err)
	file, err := os.OpenFile(w.ledger, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, file.Close()) }()
	_, err = file.Write(append(line, '\n'))
	require.NoError(w.t, err)
}

func (w *fixture) auditor() *audit.Auditor {
	w.t.Helper()
	a, err := audit.New(w.t.Context(), w.cfg)
	require.NoError(w.t, err)
	w.t.Cleanup(a.Close)
	return a
}

func pass(t *testing.T, a *audit.Auditor) audit.Report {
	t.Helper()
	report, err := a.Pass(t.Context())
	require.NoError(t, err)
	return report
}

// settle makes everything look as if it had happened a while ago.
func (w *fixture) settle() {
	w.sql("orders", "update orders set updated_at = updated_at - interval '1 hour'")
	w.sql("inventory", "update reservations set updated_at = updated_at - interval '1 hour'")
	w.sql("orchestrator", "update sagas set updated_at = updated_at - interval '1 hour'")
}
