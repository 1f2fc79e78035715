package audit_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/commandline"
	"waybill.example/devstack/kafkatest"
	"waybill.example/drills/audit"
)

type violation struct {
	confirmed bool // the order that is spoilt
	spoil     func(w *fixture, order int64) (subject string)
	check     audit.Check
	problem   string
	repair    string
}

func aboutOrder(spoil func(w *fixture, order int64)) func(*fixture, int64) string {
	return func(w *fixture, order int64) string {
		spoil(w, order)
		return fmt.Sprintf("order %d", order)
	}
}

func (w *fixture) held(order int64, set string, onHand int) {
	w.t.Helper()
	w.sql("inventory", "update reservations set "+set+" where order_id = $1", order)
	w.sql("inventory", "update stock set on_hand = on_hand + $1 where sku = 'burger'", onHand)
}

func (w *fixture) newest(db string) string {
	w.t.Helper()
	var id int64
	require.NoError(w.t, w.dbs[db].Pool.QueryRow(w.t.Context(), "select max(id) from outbox").Scan(&id))
	return fmt.Sprintf("%s outbox row %d", db, id)
}

func (w *fixture) eventID(db string, messageType contracts.Type, order int64) (id uuid.UUID) {
	w.t.Helper()
	require.NoError(w.t, w.dbs[db].Pool.QueryRow(w.t.Context(), "select event_id from outbox where type = $1 and key = $2",
		string(messageType), strconv.FormatInt(order, 10)).Scan(&id))
	return id
}

var violations = map[string]violation{
	"an accepted order is gone": {anyOrder, func(w *fixture, _ int64) string {
		w.claim(1000, 4711, 1)
		return "order 4711"
	}, audit.Accepted, "there is no such order", `curl -s --fail-with-body -X POST "${ORDERS_URL:-http://localhost:8080}"/v1/orders `},
	"an order id was given out twice": {
		anyOrder, aboutOrder(func(w *fixture, id int64) { w.claim(1001, id, 1) }),
		audit.Accepted, "and again to request 1001", "curl",
	},
	"a request that was sent again is two orders": {anyOrder, func(w *fixture, id int64) string {
		w.sql("orders", "update orders set user_id = $1 where id = $2", user(id), w.carry(1, true))
		return "request of " + user(id)
	}, audit.Placed, "there are the orders [", "/cancel"},
	"a request that was sent again is answered with another order": {anyOrder, func(w *fixture, id int64) string {
		w.claim(id, id+100_000, 1)
		return fmt.Sprintf("request %d", id)
	}, audit.Placed, "sent again with its key it was answered with order", "/cancel"},
	"an accepted order is not what was asked for": {anyOrder, aboutOrder(func(w *fixture, id int64) {
		w.sql("orders", "update orders set user_id = 'v' where id = $1", id)
	}), audit.Accepted, "for v", `curl -s "${ORDERS_URL:-http://localhost:8080}"/v1/orders/`},
	"an order without its event": {anyOrder, func(w *fixture, _ int64) string {
		var id int64
		require.NoError(w.t, w.dbs["orders"].Pool.QueryRow(w.t.Context(),
			"insert into orders (user_id, sku, quantity) values ('u', 'burger', 1) returning id").Scan(&id))
		return fmt.Sprintf("order %d", id)
	}, audit.Announced, "no OrderCreated", "curl"},
	"an event without its order": {anyOrder, func(w *fixture, _ int64) string {
		w.send("orders", contracts.OrderCreated{Envelope: envelope(777, uuid.Nil), UserID: "u", SKU: "burger", Quantity: 1}, "orchestrator", "orchestrator")
		return "order 777"
	}, audit.Announced, "it is not there", "curl"},
	"an order that waits forever": {confirmed, aboutOrder(func(w *fixture, id int64) {
		w.sql("orders", "update orders set status = 'PENDING' where id = $1", id)
		w.sql("orchestrator", "update sagas set phase = 'RUNNING', state = 'RUNNING', deadline = now() where id = $1", fmt.Sprint(id))
	}), audit.Terminal, "its saga is RUNNING", "orchestrator saga explain"},
	"an order without a saga": {anyOrder, aboutOrder(func(w *fixture, id int64) {
		w.sql("orchestrator", "delete from sagas where id = $1", fmt.Sprint(id))
	}), audit.Terminal, "no saga was ever started", "outbox-relay replay"},
	"a confirmed order without a reservation": {confirmed, aboutOrder(func(w *fixture, id int64) {
		w.sql("inventory", "delete from reservations where order_id = $1", id)
		w.held(id, "state = state", 1)
	}), audit.Reserved, "never heard of it", "/cancel"},
	"a confirmed order whose reservation was released": {confirmed, aboutOrder(func(w *fixture, id int64) {
		w.held(id, "state = 'RELEASED'", 1)
	}), audit.Reserved, "its reservation is RELEASED", "/cancel"},
	"a confirmed order with other items reserved": {confirmed, aboutOrder(func(w *fixture, id int64) {
		w.held(id, "quantity = 5", -4)
	}), audit.Reserved, "5 × \"burger\" are reserved", "/cancel"},
	"a confirmed order with a line more reserved": {confirmed, aboutOrder(func(w *fixture, id int64) {
		w.stock("cola", 3, 5)
		w.held(id, `sku = null, quantity = null, items = '[{"sku":"burger","quantity":1},{"sku":"cola","quantity":2}]'`, 0)
	}), audit.Reserved, `asks for 1 × "burger", and 1 × "burger" and 2 × "cola" are reserved`, "/cancel"},
	"a cancelled order that holds items": {cancelled, aboutOrder(func(w *fixture, id int64) {
		w.held(id, "state = 'RESERVED', reason = ''", -1)
	}), audit.Reserved, "still reserved", `psql "$ORCHESTRATOR_DB" -c 'insert into outbox`},
	"a reservation without an order": {anyOrder, func(w *fixture, _ int64) string {
		w.sql("inventory", "insert into reservations (order_id, sku, quantity, state) values (999, 'burger', 7, 'RESERVED')")
		w.held(0, "state = state", -7)
		return "order 999"
	}, audit.Reserved, "there is no such order", "ReleaseInventory"},
	"an order that Orders has lost, which holds items": {anyOrder, func(w *fixture, _ int64) string {
		w.sql("orchestrator", `insert into sagas (id, definition, version, phase, state, revision, steps, data, started_at, updated_at, ended_at)
			values ('8888', 'order', 1, 'COMPLETED', 'CONFIRMED', 3, '[]', '{"userId":"u"}', now(), now(), now())`)
		w.sql("inventory", "insert into reservations (order_id, sku, quantity, state) values (8888, 'burger', 7, 'RESERVED')")
		w.held(0, "state = state", -7)
		return "order 8888"
	}, audit.Agreed, "in a saga, and not in Orders", `psql "$ORCHESTRATOR_DB" -At -f docs/recover-orders.sql | psql "$ORDERS_DB"`},
	"a saga that thinks otherwise than its order": {confirmed, aboutOrder(func(w *fixture, id int64) {
		w.sql("orchestrator", "update sagas set phase = 'CANCELLED', state = 'CANCELLED' where id = $1", fmt.Sprint(id))
	}), audit.Agreed, "its saga ended CANCELLED", "orchestrator saga explain"},
	"stock that was made from nothing": {anyOrder, func(w *fixture, _ int64) string {
		w.stock("ghost", 3, 4)
		return `sku "ghost"`
	}, audit.Stock, "received 4, but on hand 3 + reserved 0 = 3: a difference of -1", `-c 'update stock set received = 3 where sku = '\''ghost'\'' and on_hand = 3'`},
	"stock that was changed by hand": {anyOrder, func(w *fixture, _ int64) string {
		w.stock("painted", 3, 3)
		w.sql("inventory", "update stock set on_hand = 5, received = 5 where sku = 'painted'")
		return `sku "painted"`
	}, audit.Stock, "received 5, but its movements add up to 3: a difference of +2", `-c 'insert into stock_movements (sku, kind, delta,`},
	"stock that was deleted": {anyOrder, func(w *fixture, _ int64) string {
		w.stock("deleted", 3, 3)
		w.sql("inventory", "delete from stock where sku = 'deleted'")
		return `sku "deleted"`
	}, audit.Stock, "received 0, but its movements add up to 3: a difference of -3", `psql "$INVENTORY_DB"`},
	"a row that counts as published and is not on its topic": {anyOrder, func(w *fixture, id int64) string {
		w.row("orchestrator", contracts.ConfirmOrder{Envelope: envelope(id, uuid.Nil)})
		return w.newest("orchestrator")
	}, audit.Delivered, "counts as published", "outbox-relay replay --database=orchestrator --from-id="},
	"a row that was never published": {anyOrder, func(w *fixture, _ int64) string {
		w.sql("inventory", "insert into outbox (topic, key, type, payload) values ('inventory.v1', '1', 'InventoryReleased', '{}')")
		return w.newest("inventory")
	}, audit.Delivered, "waits to be published", "outbox-relay pending"},
	"a message that nobody handled": {anyOrder, func(w *fixture, id int64) string {
		w.publish(w.row("orders", contracts.OrderCancelRequested{Envelope: envelope(id, uuid.Nil)}))
		return w.newest("orders")
	}, audit.Handled, "orchestrator has not handled it", "outbox-relay replay --database=orders"},
	"a command that was answered twice": {confirmed, func(w *fixture, id int64) string {
		command := w.eventID("orchestrator", contracts.TypeReserveInventory, id)
		w.send("inventory", contracts.InventoryReserved{Envelope: envelope(id, command), Reserved: true}, "orchestrator", "orchestrator")
		return w.newest("inventory")
	}, audit.Once, "has answered", "psql"},
	"a message that moved its saga twice": {anyOrder, aboutOrder(func(w *fixture, id int64) {
		w.transition(id, 3, w.eventID("orders", contracts.TypeOrderCreated, id))
	}), audit.Once, "moved its saga more than once", "orchestrator saga explain"},
	"two rows of one event": {anyOrder, func(w *fixture, id int64) string {
		w.sql("orders", "insert into outbox (event_id, topic, key, type, payload) select event_id, topic, key, type, payload || ' '::bytea from outbox where event_id = $1",
			w.eventID("orders", contracts.TypeOrderCreated, id))
		return w.newest("orders")
	}, audit.Once, "has the event id of orders outbox row", "psql"},
	"messages of a key in the wrong order": {anyOrder, func(w *fixture, id int64) string {
		first := w.row("orders", contracts.OrderCancelRequested{Envelope: envelope(id, uuid.Nil)})
		second := w.row("orders", contracts.OrderCancelRequested{Envelope: envelope(id, uuid.Nil)})
		w.publish(second, first)
		for _, r := range []contracts.Record{first, second} {
			w.sql("orchestrator", `insert into inbox (event_id, consumer, topic, "partition", "offset") values ($1, 'orchestrator', '', 0, 0)`, r.EventID)
		}
		return "orders.v1/"
	}, audit.Ordered, "of orders came after row", "outbox-relay show"},
	"a message from nowhere": {anyOrder, func(w *fixture, id int64) string {
		record, err := contracts.Encode(contracts.ConfirmOrder{Envelope: envelope(id, uuid.Nil)})
		require.NoError(w.t, err)
		w.publish(record)
		return "orders.commands.v1/"
	}, audit.Origin, "no outbox has such a row", "kcat"},
	"a stuck row": {anyOrder, func(w *fixture, id int64) string {
		w.row("orders", contracts.OrderCancelRequested{Envelope: envelope(id, uuid.Nil)})
		w.sql("orders", `insert into outbox_stuck (outbox_id, topic, parked, error, attempts, next_attempt_at)
			select max(id), 'orders.v1', false, 'too large', 3, now() from outbox`)
		return w.newest("orders")
	}, audit.Unhealthy, "too large", "outbox-relay stuck retry --database=orders"},
	"a dead letter": {anyOrder, deadLetter, audit.Unhealthy, "a dead letter", "waybill dlq redrive 1 --service=orders"},
	"an order id that was given out twice": {anyOrder, func(w *fixture, order int64) string {
		return setAside(w, order, "orders.v1.dlq", "the saga was started by another message: 7")
	}, audit.Unhealthy, "the saga was started by another message: 7", "orchestrator saga cancel"},
	"a saga in trouble": {anyOrder, func(w *fixture, _ int64) string {
		w.sql("orchestrator", `insert into sagas (id, definition, version, phase, state, reason, revision, steps, data, deadline, started_at, updated_at, trouble)
			values ('5555', 'order', 1, 'COMPENSATION_STUCK', 'COMPENSATION_STUCK', 'no answer', 3, '[]', '{}', now(), now(), now(), 'an undo has used up its attempts')`)
		return "saga 5555"
	}, audit.Unhealthy, "COMPENSATION_STUCK", "orchestrator saga explain 5555"},
}

// deadLetter sets two messages aside, of which an operator has redriven one and edited the other:
// the edited copy waits.
func deadLetter(w *fixture, order int64) string {
	const letterSQL = `insert into dead_letters (consumer, topic, "partition", "offset", decoded, payload, payload_bytes, whole, reason, state, superseded_by)
		values ('orders-service', 'orders.commands.v1', 0, $1, false, '', 0, true, 'no', $2, $3)`
	w.sql("orders", letterSQL, 7, "dead", nil)
	w.sql("orders", letterSQL, 8, "redriven", nil)
	w.sql("orders", letterSQL, 7, "superseded", 1)
	setAside(w, order, "orders.commands.v1.dlq", "")
	w.sql("orders", placedSQL, 8)
	setAside(w, order, "orders.commands.v1.dlq", "")
	w.sql("orders", placedSQL, 7)
	return w.newest("orders")
}

const placedSQL = `update outbox set headers = headers || jsonb_build_object(
		'waybill-dlq-topic', 'orders.commands.v1', 'waybill-dlq-partition', '0', 'waybill-dlq-offset', $1::int::text)
	where id = (select max(id) from outbox)`

func setAside(w *fixture, order int64, topic, reason string) string {
	id := uuid.New()
	key := strconv.FormatInt(order, 10)
	w.sql("orders", `insert into outbox (event_id, topic, key, type, payload, headers)
		values ($1, $2, $3, 'DeadLetter', '{', jsonb_build_object('waybill-dlq-reason', $4::text))`, id, topic, key, reason)
	w.broker.Produce(w.t, kafkatest.Record{Topic: topic, Key: []byte(key), Headers: map[string]string{"ce_id": id.String()}})
	return w.newest("orders")
}

func TestEachViolationIsNamedAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	subjects := map[string]string{}
	for name, v := range violations {
		subjects[name] = v.spoil(w, w.place(1, v.confirmed))
	}
	w.settle()
	a := w.auditor()
	findings := pass(t, a).Findings()
	for name, v := range violations {
		found := slices.DeleteFunc(slices.Clone(findings), func(f audit.Finding) bool {
			return f.Check != v.check || !about(f.Subject, subjects[name]) || !strings.Contains(f.Problem, v.problem)
		})
		require.Len(t, found, 1, "%s: %s", name, subjects[name])
		require.Contains(t, found[0].Repair, v.repair, name)
	}
	require.Len(t, findings, len(violations), "a false alarm: %+v", findings)
	programs := commandline.New(t)
	for _, f := range findings {
		programs.Require(t, f.Repair)
	}

	a.Forget()
	require.ElementsMatch(t, named(findings), named(pass(t, a).Findings()), "what was found stays found")
}

func about(subject, want string) bool {
	return subject == want || strings.HasSuffix(want, "/") && strings.HasPrefix(subject, want)
}

func named(findings []audit.Finding) []string {
	names := make([]string, len(findings))
	for i, f := range findings {
		names[i] = string(f.Check) + " " + f.Subject
	}
	return names
}
