package browsertest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"waybill.example/contracts"
	"waybill.example/devstack/broker"
	"waybill.example/devstack/stack"
)

// hostile is what a page must show as text, wherever it comes from.
const hostile = `<script>window.broken = true</script><img src=x onerror="window.broken = true">`

// harmless fails the test if hostile was more than text.
func (b *tab) harmless() {
	b.t.Helper()
	require.False(b.t, eval[bool](b, "Boolean(window.broken) || Boolean(document.querySelector('main img'))"), "what was text ran")
}

// exec runs SQL in a database of the stack.
func (w *world) exec(t *testing.T, database, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.stack.State().Databases[database])
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// query returns one value.
func query[T any](t *testing.T, w *world, database, sql string, args ...any) (value T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.stack.State().Databases[database])
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&value))
	return value
}

func (w *world) broker() string {
	p, _ := w.stack.State().Process(stack.Broker)
	return p.Addr
}

// stuckRows writes rows for a topic that does not exist, and returns the id of the first.
func (w *world) stuckRows(t *testing.T, topic, key string, n int) int64 {
	t.Helper()
	first := query[int64](t, w, "orders", `with written as (
		insert into outbox (topic, key, type, payload, headers)
		select $1, $2, 'OrderCreated', convert_to('{"orderId":9007199254740993,"note":' || to_json($3::text)::text || '}', 'UTF8'), jsonb_build_object('note', $3::text)
		from generate_series(1, $4) returning id) select min(id) from written`, topic, key, hostile, n)
	return first
}

// deadLetter sends Orders a command that it cannot apply, and returns the id of the dead letter.
func (w *world) deadLetter(t *testing.T, order int64, more string) int64 {
	t.Helper()
	message, err := contracts.Encode(contracts.ConfirmOrder{Envelope: contracts.NewEnvelope(order, uuid.New(), time.Now())})
	require.NoError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(w.broker()))
	require.NoError(t, err)
	defer client.Close()
	payload := strings.Replace(string(message.Payload), "{", "{"+more, 1)
	record := &kgo.Record{
		Topic: contracts.TopicOrderCommands, Key: fmt.Append(nil, order), Value: []byte(payload),
		Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte("ConfirmOrder")}, {Key: "note", Value: []byte(hostile)}},
	}
	require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	var id int64
	require.Eventually(t, func() bool {
		id = query[int64](t, w, "orders", `select coalesce(max(id), 0) from dead_letters where key = convert_to($1, 'UTF8') and state = 'dead'`, fmt.Sprint(order))
		return id > 0
	}, patience, 50*time.Millisecond)
	return id
}

func TestOutbox_AStuckRowIsSeenRetriedAndGone(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	topic, key := "stuck-"+uuid.NewString(), "key "+hostile
	id := w.stuckRows(t, topic, key, 3)
	tab := open(t, operatorToken)
	tab.visit("/outbox")
	tab.awaitText("#live", topic)
	tab.harmless()
	tab.accessible()
	tab.shot("outbox")

	tab.visit("/outbox/orders?show=stuck")
	tab.awaitText("#live", topic)
	tab.awaitText("#live", "<script>") // of the key
	tab.accessible()
	tab.shot("outbox-database")
	tab.visit(fmt.Sprintf("/outbox/orders/rows/%d", id))
	tab.awaitText("#live", "Kafka refuses it")
	tab.awaitText(".payload", "9007199254740993")
	tab.harmless()
	tab.accessible()
	tab.shot("outbox-row")
	tab.scheme("dark")
	tab.shot("outbox-row-dark")
	tab.phone()
	tab.shot("outbox-row-phone")

	// Somebody has to ask for it: the relay would try it again by itself after a while.
	w.exec(t, "orders", "update outbox_stuck set next_attempt_at = now() + interval '1 hour' where topic = $1 and not parked", topic)
	require.NoError(t, broker.CreateTopics(t.Context(), w.broker(), 1, topic))
	tab.visit(fmt.Sprintf("/outbox/orders/rows/%d", id))
	retry := fmt.Sprintf(`details[id="action:/outbox/orders/rows/%d/retry"]`, id)
	tab.click(retry + " summary")
	tab.fill(retry+" input[name=reason]", "the topic was made "+hostile)
	tab.shot("outbox-retry")
	tab.click(retry + " button.primary")
	tab.awaitText("#live", "Published to "+topic)
	tab.visit("/outbox/orders")
	tab.awaitGone("#live", topic+" ") // the group
	tab.visit("/audit-log?actor=olga")
	tab.awaitText("#live", fmt.Sprintf("outbox/%d", id))
	tab.awaitText("#live", "the topic was made <script>")
	tab.harmless()
	tab.accessible()
	tab.shot("audit-log")
}

func TestOutbox_ReplayIsPreviewedAndConfirmedByItsCount(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	topic := "replayed-" + uuid.NewString()
	require.NoError(t, broker.CreateTopics(t.Context(), w.broker(), 1, topic))
	id := w.stuckRows(t, topic, "replayed-"+topic, 2)
	require.Eventually(t, func() bool {
		return query[string](t, w, "orders", "select status from outbox_status where id = $1", id+1) == "published"
	}, patience, 50*time.Millisecond)
	tab := open(t, adminToken)
	tab.visit("/outbox/orders/replay?key=replayed-" + topic)
	tab.click("form.form button.primary")
	tab.awaitText("#plan", "It would send 2 rows")
	tab.accessible()
	tab.shot("replay")
	tab.fill("#plan input[name=reason]", "a consumer lost them")
	tab.fill("#plan input[name=count]", "2")
	tab.click("#plan button.primary")
	tab.awaitText("#plan output", "sends 2 rows")
	tab.visit("/outbox/orders?show=replays")
	tab.awaitText("#live", "done")
	tab.accessible()
	tab.shot("replays")
}

func TestDeadLetters_OneIsEditedAndRedriven(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	const order = 9_007_199_254_740_993 // there is no such order
	id := w.deadLetter(t, order, `"extra":12345678901234567890,`)
	tab := open(t, operatorToken)
	tab.visit("/dead-letters")
	tab.awaitText("#live", "ConfirmOrder")
	tab.accessible()
	tab.shot("dead-letters")
	tab.visit("/dead-letters/all?service=orders")
	tab.awaitText("#live", fmt.Sprint(order))
	tab.accessible()
	tab.shot("dead-letters-all")
	tab.visit(fmt.Sprintf("/dead-letters/orders/%d", id))
	tab.awaitText("#live", "could not apply it")
	tab.awaitText(".payload", "12345678901234567890")
	tab.harmless()
	tab.accessible()
	tab.shot("dead-letter")
	tab.visit(fmt.Sprintf("/dead-letters/orders/%d/edit", id))
	tab.run()
	eval[bool](tab, `(p => { p.value = p.value.replace(/"type": "ConfirmOrder"/, '"type": "ConfirmOrder"').replace(/"orderId": \d+/, '"orderId": -1'); return true })(document.querySelector("#payload"))`)
	tab.click("form.form button.primary")
	tab.awaitText("#difference", "would not read it")
	tab.shot("dead-letter-refused")
	edit := `(p => { p.value = p.value.replace(/"orderId": -?\d+/, '"orderId": 1'); return true })(document.querySelector("#payload"))`
	eval[bool](tab, edit)
	tab.click("form.form button.primary")
	tab.awaitText("#difference", "orders would read it")
	tab.accessible()
	tab.shot("dead-letter-edit")
}

func TestBatches_AndAuditLogLookFine(t *testing.T) {
	t.Parallel()
	tab := open(t, adminToken)
	tab.visit("/batches")
	tab.awaitText("#live", "Batches")
	tab.accessible()
	tab.shot("batches")
	tab.visit("/audit-log")
	tab.click("form[hx-post$=verify] button")
	tab.awaitText("#verified", "none changed or removed")
	tab.accessible()
	tab.shot("audit-verified")
	tab.visit("/break-it")
	tab.awaitText("#live", "outbox-relay")
	tab.accessible()
	tab.shot("break-it")
}
