package embedded_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/kafka"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/orders/embedded"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// system is Orders with the saga in it. The test is Inventory, and reads its commands from the
// outbox.
type system struct {
	t      *testing.T
	db     *pgtest.Database
	broker *kafkatest.Broker
	url    string
}

func start(t *testing.T) *system {
	t.Helper()
	s := &system{
		t: t, db: pgtest.New(t, migrations.Outbox, migrations.Orders, migrations.Orchestrator),
		broker: kafkatest.Start(t, contracts.TopicInventory),
	}
	app, err := embedded.New(t.Context(), embedded.Config{
		Config: service.ListenOn("127.0.0.1:0"), Postgres: chassispg.Config{URL: config.Secret(s.db.URL)},
		Kafka:  kafka.Config{Brokers: []string{s.broker.Addr()}, SecurityProtocol: "PLAINTEXT"},
		Timing: ordersaga.DefaultTiming(),
	}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	s.url = "http://" + app.Addr()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		require.NoError(t, <-done)
	})
	return s
}

func (s *system) post(path, body string) {
	s.t.Helper()
	response, err := http.Post(s.url+path, "application/json", strings.NewReader(body))
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	require.Equal(s.t, http.StatusAccepted, response.StatusCode)
}

// becomes waits for the status of an order, and returns its reason.
func (s *system) becomes(id int, status string) (reason string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		response, err := http.Get(fmt.Sprintf("%s/v1/orders/%d", s.url, id))
		require.NoError(s.t, err)
		defer func() { _ = response.Body.Close() }()
		var order struct{ Status, Reason string }
		require.NoError(s.t, json.NewDecoder(response.Body).Decode(&order))
		reason = order.Reason
		return order.Status == status
	}, 2*time.Minute, 10*time.Millisecond, "order %d becomes %s", id, status)
	return reason
}

// sent is the types of the messages about an order in the outbox, and the id of the last.
func (s *system) sent(id int) (types []string, last uuid.UUID) {
	s.t.Helper()
	require.NoError(s.t, s.db.Pool.QueryRow(s.t.Context(),
		"select array_agg(type order by id), (array_agg(event_id order by id desc))[1] from outbox where key = $1", fmt.Sprint(id)).Scan(&types, &last))
	return types, last
}

func (s *system) answer(m contracts.Message) {
	s.t.Helper()
	record, err := contracts.Encode(m)
	require.NoError(s.t, err)
	s.broker.Produce(s.t, kafkatest.Record{Topic: record.Topic, Key: []byte(record.Key), Value: record.Payload, Headers: record.Headers})
}

const draft = `{"userId":"u1","sku":"burger","quantity":2}`

func TestEmbedded_AnOrderTakesTwoMessages(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", draft)
	types, reserve := s.sent(1)
	require.Equal(t, []string{"ReserveInventory"}, types, "it is written when the answer is")
	s.answer(contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, reserve, time.Now()), Reserved: true})
	s.becomes(1, "CONFIRMED")
	types, _ = s.sent(1)
	require.Equal(t, []string{"ReserveInventory"}, types)
}

func TestEmbedded_ARefusalCancelsTheOrder(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", draft)
	_, reserve := s.sent(1)
	s.answer(contracts.InventoryRejected{Envelope: contracts.NewEnvelope(1, reserve, time.Now()), Reason: "insufficient stock"})
	require.Equal(t, "insufficient stock", s.becomes(1, "CANCELLED"))
	types, _ := s.sent(1)
	require.Equal(t, []string{"ReserveInventory"}, types)
}

func TestEmbedded_AClientCancelsAnOrderThatWasConfirmed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", draft)
	_, reserve := s.sent(1)
	s.answer(contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, reserve, time.Now()), Reserved: true})
	s.becomes(1, "CONFIRMED")
	s.post("/v1/orders/1/cancel", `{"reason":"changed my mind"}`)
	types, release := s.sent(1)
	require.Equal(t, []string{"ReserveInventory", "ReleaseInventory"}, types)
	s.answer(contracts.InventoryReleased{Envelope: contracts.NewEnvelope(1, release, time.Now())})
	require.Equal(t, "changed my mind", s.becomes(1, "CANCELLED"))
}
