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
	payload := strings.Replace(string(message.Payload), "{", "{"+more, 1)
	record := &kgo.Record{
		Topic: contracts.TopicOrderCommands, Key: fmt.Append(nil, order), Value: []byte(payload),
		Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte("ConfirmOrder")}, {Key: "note", Value: []byte(hostile)}},
	}
	w.produce(t, record)
	var id int64
	require.Eventually(t, func() bool {
		id = query[int64](t, w, "orders", `select coalesce(max(id), 0) from dead_letters where key = convert_to($1, 'UTF8') and state = 'dead'`, fmt.Sprint(order))
		return id > 0
	}, patience, 50*time.Millisecond)
	return id
}

// produce appends a record to a topic, past all outboxes.
func (w *world) produce(t *testing.T, record *kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.broker()))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
}
