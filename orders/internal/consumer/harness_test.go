package consumer_test

import (
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/devstack/schematest"
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
	schematest.Watch(t, f.Pool)
	f.store = postgres.NewStore(f.Pool)
	f.handler = consumer.New(f.Pool, f.store, func(...int64) {}, slog.New(slog.DiscardHandler), f.metrics)
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
