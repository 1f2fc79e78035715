package consumer_test

import (
	"errors"
	"log/slog"
	"strconv"
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
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orders/internal/consumer"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/order"
	"waybill.example/sdk/inbox"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fixture is a handler on a database of the test's own. Its first three orders are PENDING,
// CONFIRMED and CANCELLED (for "sold out").
type fixture struct {
	*pgtest.Database
	store   *postgres.Store
	handler *consumer.Handler
	metrics *prometheus.Registry
	offset  int64
}

const (
	pending   = 1
	confirmed = 2
	cancelled = 3
	nobodys   = 4
)

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{Database: pgtest.New(t, migrations.Outbox, migrations.Orders), metrics: prometheus.NewRegistry()}
	f.store = postgres.NewStore(f.Pool)
	f.handler = consumer.New(f.Pool, f.store, slog.New(slog.DiscardHandler), f.metrics)
	for _, sql := range []string{
		"insert into orders (user_id, sku, quantity) select 'u', 's', 1 from generate_series(1, 3)",
		"update orders set status = 'CONFIRMED' where id = 2",
		"update orders set status = 'CANCELLED', reason = 'sold out' where id = 3",
	} {
		_, err := f.Pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	return f
}

// deliver makes a delivery of a command, at a place of its own.
func (f *fixture) deliver(t *testing.T, m contracts.Message) inbox.Delivery {
	t.Helper()
	record, err := contracts.Encode(m)
	require.NoError(t, err)
	f.offset++
	return inbox.Delivery{Topic: record.Topic, Offset: f.offset, Key: []byte(record.Key), Value: record.Payload}
}

func (f *fixture) process(t *testing.T, batch ...inbox.Delivery) {
	t.Helper()
	require.NoError(t, f.handler.Process(t.Context(), batch))
}

func (f *fixture) order(t *testing.T, id int64) order.State {
	t.Helper()
	o, err := f.store.Get(t.Context(), id)
	require.NoError(t, err)
	return o.State
}

// answer is a row of the outbox, as far as the tests look.
type answer struct {
	Topic, Key, Type, Reason string
	Cause                    uuid.UUID
}

func (f *fixture) answers(t *testing.T) []answer {
	t.Helper()
	rows, err := f.Pool.Query(t.Context(), "select topic, key, payload, headers from outbox order by id")
	require.NoError(t, err)
	messages, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct {
		Topic, Key string
		Payload    []byte
		Headers    map[string]string
	}])
	require.NoError(t, err)
	answers := make([]answer, len(messages))
	for i, message := range messages {
		m, err := contracts.Decode(message.Topic, message.Payload, func(string) string { return "" })
		require.NoError(t, err)
		require.Zero(t, m.Meta().CausationID, "the body of an event depends on no command")
		cause, again := message.Headers[contracts.HeaderCausationID], message.Headers[contracts.HeaderInReplyTo]
		require.NotEqual(t, cause == "", again == "", "either the cause, or in reply to what it is sent again")
		answers[i] = answer{Topic: message.Topic, Key: message.Key, Type: string(m.Meta().Type), Cause: uuid.MustParse(cause + again)}
		if c, ok := m.(contracts.OrderCancelled); ok {
			answers[i].Reason = c.Reason
		}
	}
	return answers
}

func confirm(id int64) contracts.ConfirmOrder {
	return contracts.ConfirmOrder{Envelope: contracts.NewEnvelope(id, uuid.New(), time.Now())}
}

func cancel(id int64, reason string) contracts.CancelOrder {
	return contracts.CancelOrder{Envelope: contracts.NewEnvelope(id, uuid.New(), time.Now()), Reason: reason}
}

func isConfirmed(m contracts.Message) answer {
	return answer{"orders.v1", strconv.FormatInt(m.Meta().OrderID, 10), "OrderConfirmed", "", m.Meta().EventID}
}

func isCancelled(m contracts.Message, reason string) answer {
	return answer{"orders.v1", strconv.FormatInt(m.Meta().OrderID, 10), "OrderCancelled", reason, m.Meta().EventID}
}

func TestEachCommandIsAnsweredWithWhatTheOrderIsNow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		command contracts.Message
		state   order.State
		answer  func(contracts.Message) answer
		outcome string
	}{
		"confirm a pending order":     {confirm(pending), order.State{Status: order.Confirmed}, isConfirmed, "changed"},
		"confirm a confirmed order":   {confirm(confirmed), order.State{Status: order.Confirmed}, isConfirmed, "repeated"},
		"confirm a cancelled order":   {confirm(cancelled), order.State{Status: order.Cancelled, Reason: "sold out"}, because("sold out"), "contradicted"},
		"cancel a pending order":      {cancel(pending, "late"), order.State{Status: order.Cancelled, Reason: "late"}, because("late"), "changed"},
		"take a confirmed order back": {cancel(confirmed, "late"), order.State{Status: order.Cancelled, Reason: "late"}, because("late"), "changed"},
		"cancel a cancelled order":    {cancel(cancelled, "late"), order.State{Status: order.Cancelled, Reason: "sold out"}, because("sold out"), "repeated"},
		"cancel for a quoted reason":  {cancel(pending, `unknown sku "x"`), order.State{Status: order.Cancelled, Reason: `unknown sku "x"`}, because(`unknown sku "x"`), "changed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			f.process(t, f.deliver(t, tt.command))
			require.Equal(t, tt.state, f.order(t, tt.command.Meta().OrderID))
			require.Empty(t, cmp.Diff([]answer{tt.answer(tt.command)}, f.answers(t)))
			require.InDelta(t, 1, f.commands(tt.outcome), 0)
		})
	}
}

func because(reason string) func(contracts.Message) answer {
	return func(m contracts.Message) answer { return isCancelled(m, reason) }
}

// commands is how many commands had the outcome, whatever they asked.
func (f *fixture) commands(outcome string) float64 {
	families, _ := f.metrics.Gather()
	var sum float64
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if family.GetName() == "waybill_orders_commands_total" && label.GetName() == "outcome" && label.GetValue() == outcome {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

// A command that is delivered again, in the same batch or a later one, changes nothing and is
// answered once: its first answer is in the outbox, and cannot get lost.
func TestARedeliveredCommandHasNoSecondEffect(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]contracts.Message{"confirm": confirm(pending), "cancel": cancel(pending, "why")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			f.process(t, f.deliver(t, m), f.deliver(t, m))
			state := f.order(t, pending)
			f.process(t, f.deliver(t, m))
			require.Equal(t, state, f.order(t, pending))
			require.Len(t, f.answers(t), 1)
			require.InDelta(t, 1, f.commands("changed"), 0)
		})
	}
}

// The saga asks again with a new message when it has no answer: it gets one. That is the same event
// again, byte for byte, for whoever else listens: it happened once.
func TestHandler_ACommandThatIsAskedAgainIsAnsweredWithTheSameEvent(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]func() contracts.Message{
		"confirm": func() contracts.Message { return confirm(pending) },
		"cancel":  func() contracts.Message { return cancel(pending, "late") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			var asked []uuid.UUID
			for range 3 {
				one, two := command(), command()
				asked = append(asked, one.Meta().EventID, two.Meta().EventID)
				f.process(t, f.deliver(t, one), f.deliver(t, two))
			}
			for i, a := range f.answers(t) {
				require.Equal(t, asked[i], a.Cause)
			}
			require.InDelta(t, 5, f.commands("repeated"), 0)
			var rows, events, again int
			require.NoError(t, f.Pool.QueryRow(t.Context(), `
select count(*), count(distinct (event_id, topic, key, type, payload)), count(headers ->> 'waybill-in-reply-to') from outbox`).Scan(&rows, &events, &again))
			require.Equal(t, []int{6, 1, 5}, []int{rows, events, again})
		})
	}
}

// An order that was taken back to an earlier moment, and is changed again by the same command, says so
// under the same id: what happened once has one.
func TestHandler_WhatIsDoneAgainAfterARestoreHasTheSameEventID(t *testing.T) {
	t.Parallel()
	f := start(t)
	command := f.deliver(t, confirm(pending))
	f.process(t, command)
	_, err := f.Pool.Exec(t.Context(), "delete from inbox; update orders set status = 'PENDING', updated_at = created_at where id = 1")
	require.NoError(t, err)
	f.process(t, command)
	rows, err := f.Pool.Query(t.Context(), "select event_id, payload from outbox")
	require.NoError(t, err)
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct {
		ID      uuid.UUID
		Payload []byte
	}])
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Equal(t, contracts.EventID(pending, contracts.TypeOrderConfirmed, 0), events[0].ID)
	require.Equal(t, events[0].ID, events[1].ID)
	require.Equal(t, contracts.Content(events[0].Payload), contracts.Content(events[1].Payload))
}

// The commands of one batch act as if each had come alone.
func TestCommandsForOneOrderInOneBatchActOneAfterTheOther(t *testing.T) {
	t.Parallel()
	confirmIt, cancelIt, again := confirm(pending), cancel(pending, "taken back"), confirm(pending)
	tests := map[string]struct {
		batch   []contracts.Message
		state   order.State
		answers []answer
	}{
		"confirmed, then taken back, then too late": {
			[]contracts.Message{confirmIt, cancelIt, again},
			order.State{Status: order.Cancelled, Reason: "taken back"},
			[]answer{isConfirmed(confirmIt), isCancelled(cancelIt, "taken back"), isCancelled(again, "taken back")},
		},
		"out of order: cancelled, then confirmed": {
			[]contracts.Message{cancelIt, confirmIt},
			order.State{Status: order.Cancelled, Reason: "taken back"},
			[]answer{isCancelled(cancelIt, "taken back"), isCancelled(confirmIt, "taken back")},
		},
		"confirmed twice": {
			[]contracts.Message{confirmIt, again},
			order.State{Status: order.Confirmed},
			[]answer{isConfirmed(confirmIt), isConfirmed(again)},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			together, apart := start(t), start(t)
			var batch []inbox.Delivery
			for _, m := range tt.batch {
				batch = append(batch, together.deliver(t, m))
				apart.process(t, apart.deliver(t, m))
			}
			together.process(t, batch...)
			for _, f := range []*fixture{together, apart} {
				require.Equal(t, tt.state, f.order(t, pending))
				require.Empty(t, cmp.Diff(tt.answers, f.answers(t)))
			}
		})
	}
}

func TestABatchTouchesTheOrdersItNamesAndNoOther(t *testing.T) {
	t.Parallel()
	f := start(t)
	_, err := f.Pool.Exec(t.Context(), "insert into orders (user_id, sku, quantity) select 'u', 's', 1 from generate_series(1, 100)")
	require.NoError(t, err)
	var batch []inbox.Delivery
	for id := int64(103); id > 3; id -= 2 {
		batch = append(batch, f.deliver(t, confirm(id)))
	}
	f.process(t, batch...)
	var n int
	require.NoError(t, f.Pool.QueryRow(t.Context(), "select count(*) from orders where id > 3 and (status = 'CONFIRMED') = (id % 2 = 1) and (updated_at > created_at) = (id % 2 = 1)").Scan(&n))
	require.Equal(t, 100, n)
	require.Len(t, f.answers(t), 50)
}

func TestAnEventTellsTheTimeAtWhichTheOrderChanged(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.process(t, f.deliver(t, confirm(pending)))
	o, err := f.store.Get(t.Context(), pending)
	require.NoError(t, err)
	require.Greater(t, o.UpdatedAt, o.CreatedAt)
	var payload string
	require.NoError(t, f.Pool.QueryRow(t.Context(), "select convert_from(payload, 'UTF8') from outbox").Scan(&payload))
	require.Contains(t, payload, `"time":"`+o.UpdatedAt.Format(time.RFC3339Nano)+`"`)
}

func TestAnAnswerStaysInTheTraceOfItsCommand(t *testing.T) {
	t.Parallel()
	f := start(t)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	good, bad := f.deliver(t, confirm(pending)), f.deliver(t, confirm(pending))
	good.Headers = []inbox.Header{{Key: "traceparent", Value: []byte(trace)}}
	bad.Headers = []inbox.Header{{Key: "traceparent", Value: []byte("\x00\xff")}}
	f.process(t, good, bad)
	rows, err := f.Pool.Query(t.Context(), "select coalesce(headers->>'traceparent', '') from outbox order by id")
	require.NoError(t, err)
	traces, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{trace, ""}, traces)
}

// What can never be applied is set aside with the reason; the rest of its batch goes through.
func TestACommandThatCannotBeAppliedBecomesADeadLetter(t *testing.T) {
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

// The runbook's way to give a message back: after the repair it is sent to its topic again, with its
// own id. It takes effect then, once.
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

func TestAMessageThatIsNoCommandForOrdersIsSkippedAndCounted(t *testing.T) {
	t.Parallel()
	f := start(t)
	release := contracts.ReleaseInventory{Envelope: contracts.NewEnvelope(pending, uuid.New(), time.Now())}
	future := f.deliver(t, confirm(pending))
	future.Value = []byte(strings.Replace(string(future.Value), "ConfirmOrder", "PraiseOrder", 1))
	f.process(t, f.deliver(t, release), future)
	require.Equal(t, order.Pending, f.order(t, pending).Status)
	require.Empty(t, f.answers(t))
	require.NoError(t, testutil.GatherAndCompare(f.metrics, strings.NewReader(`
# HELP waybill_inbox_messages_total Messages received, by what became of them: applied, duplicate, skipped, dead_letter, conflict, dropped.
# TYPE waybill_inbox_messages_total counter
waybill_inbox_messages_total{consumer="orders-service",outcome="applied"} 0
waybill_inbox_messages_total{consumer="orders-service",outcome="conflict"} 0
waybill_inbox_messages_total{consumer="orders-service",outcome="dead_letter"} 0
waybill_inbox_messages_total{consumer="orders-service",outcome="dropped"} 0
waybill_inbox_messages_total{consumer="orders-service",outcome="duplicate"} 0
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
func TestABatchThatFailsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	f := start(t)
	batch := []inbox.Delivery{f.deliver(t, confirm(pending)), f.deliver(t, confirm(cancelled))}
	broken := consumer.New(f.Pool, failing{f.store}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.ErrorContains(t, broken.Process(t.Context(), batch), "division by zero")
	require.Equal(t, order.Pending, f.order(t, pending).Status)
	require.Empty(t, f.answers(t))

	f.process(t, batch...)
	require.Equal(t, order.Confirmed, f.order(t, pending).Status)
	require.Len(t, f.answers(t), 2)
	require.InDelta(t, 1, f.commands("contradicted"), 0)
}

func TestAMessageThatIsRejectedIsSetAsideOnce(t *testing.T) {
	t.Parallel()
	f := start(t)
	d := f.deliver(t, confirm(pending))
	require.NoError(t, f.handler.Reject(t.Context(), d, errBoom))
	require.NoError(t, f.handler.Reject(t.Context(), d, errBoom))
	var n int
	require.NoError(t, f.Pool.QueryRow(t.Context(), "select count(*) from outbox where topic = 'orders.commands.v1.dlq'").Scan(&n))
	require.Equal(t, 1, n)
}

// A client whose cancellation is not granted learns it from its order, and subscribers from one event; the status,
// and when it changed, stay as they are. A cancellation that is carried out after all makes it void.
func TestHandler_ARefusalIsKeptWithTheOrderAndToldOnce(t *testing.T) {
	t.Parallel()
	f := start(t)
	_, err := f.Pool.Exec(t.Context(), "update orders set updated_at = '2026-01-02' where id = $1", confirmed)
	require.NoError(t, err)
	refuse := func(id int64, reason string) inbox.Delivery {
		return f.deliver(t, contracts.RefuseCancel{Envelope: contracts.NewEnvelope(id, uuid.New(), time.Now()), Reason: reason})
	}
	f.process(t, refuse(confirmed, "completed more than 24h ago"), refuse(confirmed, "again"), refuse(cancelled, "too late"))
	f.process(t, refuse(confirmed, "and again"))
	found, err := f.store.Get(t.Context(), confirmed)
	require.NoError(t, err)
	require.Equal(t, order.State{Status: order.Confirmed, CancelRefused: "completed more than 24h ago"}, found.State)
	require.Equal(t, 2026, found.UpdatedAt.Year())
	require.Equal(t, time.January, found.UpdatedAt.Month())
	require.Empty(t, f.order(t, cancelled).CancelRefused)
	answers := f.answers(t)
	require.Len(t, answers, 1)
	require.Equal(t, "OrderCancelRefused", answers[0].Type)

	f.process(t, f.deliver(t, contracts.CancelOrder{Envelope: contracts.NewEnvelope(confirmed, uuid.New(), time.Now()), Reason: "after all"}))
	require.Equal(t, order.State{Status: order.Cancelled, Reason: "after all"}, f.order(t, confirmed))
}
