package consumer_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/orders/internal/consumer"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/order"
	"waybill.example/sdk/inbox"
)

// What can never be applied is set aside with the reason; the rest of its batch goes through.
func TestHandler_ACommandThatCannotBeAppliedBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	valid := func(f *fixture, m contracts.Message) string { return string(f.deliver(t, m).Value) }
	tests := map[string]struct {
		value  func(*fixture) string
		reason string
	}{
		"for an unknown order": {func(f *fixture) string { return valid(f, confirm(nobodys)) }, "order 4 does not exist"},
		"unparsable":           {func(*fixture) string { return "\x00 no JSON" }, "invalid character"},
		"empty":                {func(*fixture) string { return "" }, "unexpected end of JSON"},
		"without a reason":     {func(f *fixture) string { return strings.Replace(valid(f, cancel(pending, "x")), `"x"`, `""`, 1) }, `field "reason" is missing`},
		"with an unstorable reason": {func(f *fixture) string {
			return strings.Replace(valid(f, cancel(pending, "x")), `"x"`, `"a\u0000b"`, 1)
		}, `field "reason" must not contain the control character`},
		"with an endless reason": {func(f *fixture) string {
			return strings.Replace(valid(f, cancel(pending, "x")), `"x"`, `"`+strings.Repeat("ü", 1001)+`"`, 1)
		}, `field "reason" must be at most 1000 characters`},
		"with a word for an id": {func(f *fixture) string {
			return strings.Replace(valid(f, confirm(pending)), `"orderId":1`, `"orderId":"one"`, 1)
		}, `field "orderId"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			other := confirm(pending)
			bad := inbox.Delivery{Topic: contracts.TopicOrderCommands, Partition: 2, Offset: 99, Key: []byte("k"), Value: []byte(tt.value(f))}
			f.process(t, bad, f.deliver(t, other))
			f.process(t, bad)
			require.Equal(t, order.Confirmed, f.order(t, pending).Status)

			var key, reason, offset string
			var payload []byte
			require.NoError(t, f.Pool.QueryRow(t.Context(), `
delete from outbox where topic = 'orders.commands.v1.dlq'
returning key, payload, headers->>'waybill-dlq-reason', headers->>'waybill-dlq-offset'`).Scan(&key, &payload, &reason, &offset))
			require.Equal(t, []string{"k", "99", string(bad.Value)}, []string{key, offset, string(payload)})
			require.Contains(t, reason, tt.reason)
			require.Empty(t, cmp.Diff([]answer{isConfirmed(other)}, f.answers(t)), "one dead letter, and the other's answer")
		})
	}
}

// The runbook's way to give a message back: after the repair it is sent to its topic again, with
// its own id. It takes effect then, once.
func TestHandler_ACommandForAnUnknownOrderTakesEffectWhenItIsSentAgainAfterTheRepair(t *testing.T) {
	t.Parallel()
	f := start(t)
	command := confirm(nobodys)
	f.process(t, f.deliver(t, command))
	require.InDelta(t, 1, f.commands("unknown_order"), 0)
	_, err := f.Pool.Exec(t.Context(), "insert into orders (user_id, sku, quantity) values ('u', 's', 1)")
	require.NoError(t, err)
	f.process(t, f.deliver(t, command), f.deliver(t, command))
	require.Equal(t, order.Confirmed, f.order(t, nobodys).Status)
	require.InDelta(t, 1, f.commands("changed"), 0)
}

func TestHandler_AnUnknownCommandIsSkippedAndCounted(t *testing.T) {
	t.Parallel()
	f := start(t)
	release := contracts.ReleaseInventory{Envelope: contracts.NewEnvelope(pending, uuid.New(), time.Now())}
	future := f.deliver(t, confirm(pending))
	future.Value = []byte(strings.Replace(string(future.Value), "ConfirmOrder", "PraiseOrder", 1))
	f.process(t, f.deliver(t, release), future)
	require.Equal(t, order.Pending, f.order(t, pending).Status)
	require.Empty(t, f.answers(t))
	require.NoError(t, testutil.GatherAndCompare(f.metrics, strings.NewReader(`
# HELP waybill_inbox_messages_total Messages received, by what became of them: applied, duplicate, skipped, dead_letter, conflict, parked, redriven, dropped.
# TYPE waybill_inbox_messages_total counter
waybill_inbox_messages_total{consumer="orders-service",outcome="applied"} 0
waybill_inbox_messages_total{consumer="orders-service",outcome="conflict"} 0
waybill_inbox_messages_total{consumer="orders-service",outcome="dead_letter"} 0
waybill_inbox_messages_total{consumer="orders-service",outcome="dropped"} 0
waybill_inbox_messages_total{consumer="orders-service",outcome="duplicate"} 0
waybill_inbox_messages_total{consumer="orders-service",outcome="parked"} 0
waybill_inbox_messages_total{consumer="orders-service",outcome="redriven"} 0
waybill_inbox_messages_total{consumer="orders-service",outcome="skipped"} 2
`), "waybill_inbox_messages_total"))
}

// failing is a store whose last step fails, as a database does that goes away before the commit.
type failing struct{ *postgres.Store }

var errBoom = errors.New("boom")

func (f failing) Save(batch *pgx.Batch, decision order.Decision) {
	f.Store.Save(batch, decision)
	batch.Queue("select 1 / 0")
}

// After an error nothing of the batch has happened: no state, no answer, no inbox row, no count. So
// the same batch can be tried again, and has its whole effect then.
func TestHandler_ABatchThatFailsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	f := start(t)
	batch := []inbox.Delivery{f.deliver(t, confirm(pending)), f.deliver(t, confirm(cancelled))}
	broken := consumer.New(f.Pool, failing{f.store}, func(...int64) {}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.ErrorContains(t, broken.Process(t.Context(), batch), "division by zero")
	require.Equal(t, order.Pending, f.order(t, pending).Status)
	require.Empty(t, f.answers(t))

	f.process(t, batch...)
	require.Equal(t, order.Confirmed, f.order(t, pending).Status)
	require.Len(t, f.answers(t), 2)
	require.InDelta(t, 1, f.commands("contradicted"), 0)
}

func TestHandler_ARejectedMessageIsDeadLetteredOnce(t *testing.T) {
	t.Parallel()
	f := start(t)
	d := f.deliver(t, confirm(pending))
	require.NoError(t, f.handler.Reject(t.Context(), d, errBoom))
	require.NoError(t, f.handler.Reject(t.Context(), d, errBoom))
	var n int
	require.NoError(t, f.Pool.QueryRow(t.Context(), "select count(*) from outbox where topic = 'orders.commands.v1.dlq'").Scan(&n))
	require.Equal(t, 1, n)
}
