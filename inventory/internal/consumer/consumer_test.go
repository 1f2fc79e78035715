package consumer_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/devstack/schematest"
	"waybill.example/inventory/internal/consumer"
	"waybill.example/inventory/internal/postgres"
	"waybill.example/inventory/stock"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bench is a handler on a database of its own, fed by hand.
type bench struct {
	*consumer.Handler
	t      *testing.T
	pool   *pgxpool.Pool
	store  *postgres.Store
	reg    *prometheus.Registry
	offset int64
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db := pgtest.New(t, migrations.Outbox, migrations.Inventory)
	schematest.Watch(t, db.Pool)
	b := &bench{t: t, pool: db.Pool, store: postgres.NewStore(db.Pool), reg: prometheus.NewRegistry()}
	b.Handler = consumer.New(db.Pool, b.store, slog.New(slog.DiscardHandler), b.reg)
	_, err := b.store.Change(t.Context(), stock.Change{SKU: "burger", Kind: stock.KindSet, Amount: 5, Origin: stock.Origin{Actor: "tester"}})
	require.NoError(t, err)
	return b
}

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func (b *bench) raw(payload string, headers ...inbox.Header) inbox.Delivery {
	b.offset++
	return inbox.Delivery{
		Topic: contracts.TopicInventoryCommands, Offset: b.offset, Key: []byte("1"), Value: []byte(payload), Headers: headers,
	}
}

func (b *bench) delivery(m contracts.Message) inbox.Delivery {
	b.t.Helper()
	record, err := contracts.Encode(m)
	require.NoError(b.t, err)
	return b.raw(string(record.Payload), inbox.Header{Key: contracts.HeaderTraceParent, Value: []byte(trace)})
}

func envelope(order int64) contracts.Envelope {
	return contracts.NewEnvelope(order, uuid.Nil, time.Now())
}

func reserve(order int64, sku string, quantity int32) contracts.ReserveInventory {
	return contracts.ReserveInventory{Envelope: envelope(order), SKU: sku, Quantity: quantity}
}

func release(order int64) contracts.ReleaseInventory {
	return contracts.ReleaseInventory{Envelope: envelope(order)}
}

func (b *bench) process(batch ...inbox.Delivery) {
	b.t.Helper()
	require.NoError(b.t, b.Process(b.t.Context(), batch))
}

// row is what the tests look at in the outbox.
type row struct {
	Topic, Key, Type string
	Payload          json.RawMessage
	Headers          map[string]string
}

func (b *bench) outbox() []row {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), "select topic, key, type, payload, headers from outbox order by id")
	require.NoError(b.t, err)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	require.NoError(b.t, err)
	return all
}

// answers renders the outbox as type, and reason where there is one.
func (b *bench) answers() []string {
	b.t.Helper()
	var said []string
	for _, r := range b.outbox() {
		var body struct{ Reason string }
		require.NoError(b.t, json.Unmarshal(r.Payload, &body))
		said = append(said, strings.TrimSuffix(r.Type+": "+body.Reason, ": "))
	}
	return said
}

func (b *bench) requireOnHand(want int64) {
	b.t.Helper()
	level, err := b.store.Level(b.t.Context(), "burger")
	require.NoError(b.t, err)
	require.Equal(b.t, want, level.OnHand)
}

func (b *bench) requireCount(metric, labels string, want int) {
	b.t.Helper()
	families, err := b.reg.Gather()
	require.NoError(b.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var pairs []string
			for _, l := range m.GetLabel() {
				pairs = append(pairs, l.GetName()+"="+l.GetValue())
			}
			if f.GetName() == metric && strings.Join(pairs, " ") == labels {
				require.InDelta(b.t, want, m.GetCounter().GetValue(), 0, "%s %s", metric, labels)
				return
			}
		}
	}
	require.Zero(b.t, want, "%s %s is not there", metric, labels)
}

func TestHandler_EachCommandIsAnsweredInItsTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	command := reserve(1, "burger", 2)
	b.process(b.delivery(command), b.delivery(reserve(2, "burger", 4)), b.delivery(reserve(3, "pizza", 1)), b.delivery(release(1)))
	require.Equal(t, []string{
		"InventoryReserved",
		"InventoryRejected: insufficient stock: 3 available, 4 requested",
		`InventoryRejected: unknown sku "pizza"`,
		"InventoryReleased",
	}, b.answers())
	b.requireOnHand(5)

	first := b.outbox()[0]
	require.Equal(t, contracts.TopicInventory, first.Topic)
	require.Equal(t, "1", first.Key)
	require.Empty(t, cmp.Diff(map[string]string{
		contracts.HeaderTraceParent: trace,
		contracts.HeaderCausationID: command.EventID.String(),
	}, first.Headers))
	got, err := contracts.Decode(first.Topic, first.Payload, func(name string) string { return first.Headers[name] })
	require.NoError(t, err)
	require.Equal(t, command.EventID, got.Meta().CausationID)
}

func TestHandler_ADuplicateOfEachMessageChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	reserved, rejected, released := b.delivery(reserve(1, "burger", 2)), b.delivery(reserve(2, "pizza", 1)), b.delivery(release(1))
	garbage := b.raw("{")
	for range 3 { // in the same batch, and in later ones
		b.process(reserved, rejected, garbage, reserved, released, released, garbage)
	}
	require.Len(t, b.outbox(), 4)
	b.requireOnHand(5)
	b.requireCount("waybill_inbox_messages_total", "consumer=inventory-service outcome=applied", 3)
	b.requireCount("waybill_inbox_messages_total", "consumer=inventory-service outcome=dead_letter", 1)
	b.requireCount("waybill_inbox_messages_total", "consumer=inventory-service outcome=duplicate", 17)
}

// A saga that heard nothing asks again, in a message of its own: it gets an answer of its own, and
// the items are set aside once.
func TestHandler_ACommandThatIsRepeatedIsAnsweredAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.process(b.delivery(reserve(1, "burger", 2)))
	b.process(b.delivery(reserve(1, "burger", 2)), b.delivery(reserve(1, "burger", 3)))
	b.requireOnHand(3)
	b.process(b.delivery(release(1)))
	b.process(b.delivery(release(1)), b.delivery(reserve(1, "burger", 2)))
	b.requireOnHand(5)
	require.Equal(t, []string{
		"InventoryReserved", "InventoryReserved", "InventoryReserved",
		"InventoryReleased", "InventoryReleased", "InventoryRejected: already released",
	}, b.answers())
	b.requireCount("waybill_inventory_commands_total", "answer=RESERVED command=reserve outcome=repeated", 1)
	b.requireCount("waybill_inventory_commands_total", "answer=RESERVED command=reserve outcome=contradicted", 1)
	b.requireCount("waybill_inventory_commands_total", "answer=RELEASED command=release outcome=decided", 1)
	var events, again int
	require.NoError(t, b.pool.QueryRow(t.Context(), `
select count(distinct (event_id, topic, key, type, payload)), count(headers ->> 'waybill-in-reply-to') from outbox`).Scan(&events, &again))
	require.Equal(t, 3, events, "each thing that happened has one id and one body")
	require.Equal(t, 4, again, "an event that is sent again names the command that asked for it")
}

// To a release of an order that was rejected, nothing happens, and all its answers are the same
// event.
func TestHandler_AReleaseOfNothingIsAnsweredWithTheSameEventEachTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.process(b.delivery(reserve(1, "pizza", 2)))
	for range 3 {
		b.process(b.delivery(release(1)), b.delivery(reserve(1, "pizza", 2)))
	}
	var rows, events int
	require.NoError(t, b.pool.QueryRow(t.Context(),
		"select count(*), count(distinct (event_id, payload)) from outbox").Scan(&rows, &events))
	require.Equal(t, []int{7, 2}, []int{rows, events})
}

func TestHandler_AReleaseThatOvertookItsReserveWins(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.process(b.delivery(release(1)))
	b.process(b.delivery(reserve(1, "burger", 2)))
	b.process(b.delivery(release(2)), b.delivery(reserve(2, "burger", 2)))
	b.requireOnHand(5)
	require.Equal(t, []string{
		"InventoryReleased", "InventoryRejected: released before it was reserved",
		"InventoryReleased", "InventoryRejected: released before it was reserved",
	}, b.answers())
}

func TestHandler_AMalformedMessageIsDeadLetteredAndTheRestIsApplied(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ payload, reason string }{
		"not JSON":       {"{", "unexpected end of JSON input"},
		"empty":          {"", "unexpected end of JSON input"},
		"no sku":         {`{"eventId":"01976f2e-0000-7000-8000-000000000001","type":"ReserveInventory","time":"2026-11-23T10:04:05Z","orderId":1,"quantity":1}`, `field "sku" is missing`},
		"a sku of NUL":   {`{"eventId":"01976f2e-0000-7000-8000-000000000001","type":"ReserveInventory","time":"2026-11-23T10:04:05Z","orderId":1,"sku":"\u0000","quantity":1}`, `field "sku" must not contain the control character U+0000`},
		"no order":       {`{"eventId":"01976f2e-0000-7000-8000-000000000001","type":"ReleaseInventory","time":"2026-11-23T10:04:05Z"}`, `field "orderId" is missing`},
		"too many items": {`{"eventId":"01976f2e-0000-7000-8000-000000000001","type":"ReserveInventory","time":"2026-11-23T10:04:05Z","orderId":1,"sku":"burger","quantity":1000001}`, `field "quantity" must be from 1 to 1000000`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.process(b.delivery(reserve(1, "burger", 2)), b.raw(tt.payload), b.delivery(reserve(2, "burger", 2)))
			b.requireOnHand(1)
			var letter row
			for _, r := range b.outbox() {
				if r.Topic == contracts.DeadLetterTopic(contracts.TopicInventoryCommands) {
					letter = r
				}
			}
			require.Equal(t, tt.payload, string(letter.Payload))
			require.Contains(t, letter.Headers[inbox.HeaderDeadLetterReason], tt.reason)
			require.Equal(t, contracts.GroupInventory, letter.Headers[inbox.HeaderDeadLetterConsumer])
			require.Len(t, b.outbox(), 3)
		})
	}
}

func TestHandler_AnUnknownCommandIsSkippedAndCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	unknown := b.raw(`{"eventId":"01976f2e-0000-7000-8000-000000000001","type":"CountInventory","time":"2026-11-23T10:04:05Z","orderId":1}`)
	b.process(unknown, b.delivery(reserve(1, "burger", 2)))
	require.Equal(t, []string{"InventoryReserved"}, b.answers())
	b.requireCount("waybill_inbox_messages_total", "consumer=inventory-service outcome=skipped", 1)
	require.Equal(t, 1, b.inbox())
}

// A principal that may write Inventory's commands may not speak for the orchestrator to Orders, nor
// for Inventory.
func TestHandler_RefusesAMessageOfAnotherTopic(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	confirm := b.delivery(contracts.ConfirmOrder{Envelope: envelope(1)})
	confirm.Topic = contracts.TopicInventoryCommands
	b.process(confirm, b.delivery(reserve(1, "burger", 2)))
	letters := b.outbox()
	require.Len(t, letters, 2)
	require.Contains(t, letters[1].Headers[inbox.HeaderDeadLetterReason], "ConfirmOrder belongs on orders.commands.v1")
}

func (b *bench) inbox() (n int) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), "select count(*) from inbox").Scan(&n))
	return n
}

// broken is a store whose last statement fails when all the others are done.
type broken struct{ *postgres.Store }

func (b broken) Save(batch *pgx.Batch, d stock.Decision, at time.Time) {
	b.Store.Save(batch, d, at)
	batch.Queue("select 1 / 0")
}

func TestHandler_ARollbackLeavesNothingAndCountsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	reg := prometheus.NewRegistry()
	failing := consumer.New(b.pool, broken{b.store}, slog.New(slog.DiscardHandler), reg)
	batch := []inbox.Delivery{b.delivery(reserve(1, "burger", 2)), b.raw("{")}
	require.ErrorContains(t, failing.Process(t.Context(), batch), "division by zero")
	require.Empty(t, b.outbox())
	require.Zero(t, b.inbox())
	b.requireOnHand(5)
	_, err := b.store.Reservation(t.Context(), 1)
	require.ErrorIs(t, err, stock.ErrNotFound)
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			require.Zero(t, m.GetCounter().GetValue(), "%s %v", f.GetName(), m)
		}
	}

	b.process(batch...) // tried again
	b.requireOnHand(3)
	require.Len(t, b.outbox(), 2)
}

func TestHandler_ARejectedMessageIsDeadLetteredOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.delivery(reserve(1, "burger", 2))
	for range 2 {
		require.NoError(t, b.Reject(t.Context(), d, errors.New("it cannot be applied")))
	}
	letters := b.outbox()
	require.Len(t, letters, 1)
	require.Equal(t, "it cannot be applied", letters[0].Headers[inbox.HeaderDeadLetterReason])
}

func TestHandler_DoesNotPassAMalformedTraceOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i, header := range []string{"", "00-xyz", "\x00", trace + "\xff", strings.Repeat("0", 100_000)} {
		d := b.delivery(reserve(int64(i+1), "burger", 1))
		d.Headers = []inbox.Header{{Key: contracts.HeaderTraceParent, Value: []byte(header)}}
		b.process(d)
	}
	require.Len(t, b.outbox(), 5)
	for _, r := range b.outbox() {
		require.NotContains(t, r.Headers, contracts.HeaderTraceParent)
	}
}
