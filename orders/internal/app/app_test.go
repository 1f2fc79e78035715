package app_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/chassis/config"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/kafka"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orders/internal/app"
	"waybill.example/orders/internal/postgres"
)

const patience = 2 * time.Minute

func TestMain(m *testing.M) { pgtest.Main(m) }

// service is a running orders service.
type service struct {
	url  string
	stop func() // waits until it has ended
}

func settings(db *pgtest.Database, brokers string) app.Config {
	cfg := app.DefaultConfig()
	cfg.Postgres = chassispg.Config{URL: config.Secret(db.URL)}
	cfg.Kafka = kafka.Config{Brokers: []string{brokers}, SecurityProtocol: "PLAINTEXT"}
	cfg.HTTP = httpserver.Config{Addr: "127.0.0.1:0", MaxWaiting: 100}
	return cfg
}

func start(t *testing.T, db *pgtest.Database, brokers string) service {
	t.Helper()
	a, err := app.New(t.Context(), settings(db, brokers), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		http.DefaultClient.CloseIdleConnections()
		cancel()
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(patience):
			require.Fail(t, "the service does not stop")
		}
	}
	t.Cleanup(stop)
	return service{"http://" + a.Addr(), stop}
}

func (s service) get(t *testing.T, path string) (int, string) {
	t.Helper()
	response, err := http.Get(s.url + path)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func (s service) place(t *testing.T) {
	t.Helper()
	body := `{"userId":"u1","sku":"burger","quantity":2,"note":"kafka test"}`
	response, err := http.Post(s.url+"/v1/orders", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusAccepted, response.StatusCode)
}

func (s service) status(t *testing.T, path string) string {
	t.Helper()
	status, body := s.get(t, path)
	require.Equal(t, http.StatusOK, status, body)
	var order struct{ Status string }
	require.NoError(t, json.Unmarshal([]byte(body), &order))
	return order.Status
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, 20*time.Millisecond, what)
}

func command(t *testing.T, m contracts.Message) kafkatest.Record {
	t.Helper()
	record, err := contracts.Encode(m)
	require.NoError(t, err)
	return kafkatest.Record{Topic: record.Topic, Key: []byte(record.Key), Value: record.Payload, Headers: record.Headers}
}

func answers(t *testing.T, db *pgtest.Database) (n int) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from outbox where type <> 'OrderCreated'").Scan(&n))
	return n
}

func TestOrders_AnOrderIsPlacedAndThenDecidedByACommand(t *testing.T) {
	t.Parallel()
	db, broker := pgtest.New(t, migrations.Outbox, migrations.Orders), kafkatest.Start(t, contracts.Topics()...)
	s := start(t, db, broker.Addr())
	s.place(t)
	s.place(t)
	require.Equal(t, "PENDING", s.status(t, "/v1/orders/1"))
	broker.Produce(t,
		command(t, contracts.ConfirmOrder{Envelope: contracts.NewEnvelope(1, uuid.New(), time.Now())}),
		command(t, contracts.CancelOrder{Envelope: contracts.NewEnvelope(2, uuid.New(), time.Now()), Reason: `unknown sku "burger"`}),
		kafkatest.Record{Topic: contracts.TopicOrderCommands, Key: []byte("3"), Value: []byte("no JSON")},
	)
	eventually(t, "order 1 is confirmed", func() bool { return s.status(t, "/v1/orders/1") == "CONFIRMED" })
	eventually(t, "order 2 is cancelled", func() bool { return s.status(t, "/v1/orders/2") == "CANCELLED" })
	_, shown := s.get(t, "/v1/orders/2")
	require.Contains(t, shown, `"reason":"unknown sku \"burger\""`)
	eventually(t, "two answers and a dead letter", func() bool { return answers(t, db) == 3 })
	eventually(t, "offsets are committed", func() bool {
		var sum int64
		for _, offset := range broker.Committed(t, contracts.GroupOrders, contracts.TopicOrderCommands) {
			sum += max(offset, 0)
		}
		return sum == 3
	})
	_, metrics := s.get(t, "/metrics")
	require.Contains(t, metrics, `waybill_inbox_messages_total{consumer="orders-service",outcome="dead_letter"} 1`)
}

// Orders are accepted while no broker is there, at start-up or later, and commands are taken when
// it is.
func TestOrders_OrdersAreAcceptedWithoutABroker(t *testing.T) {
	t.Parallel()
	db, broker := pgtest.New(t, migrations.Outbox, migrations.Orders), kafkatest.Start(t, contracts.Topics()...)
	broker.Stop()
	s := start(t, db, broker.Addr())
	s.place(t)
	eventually(t, "ready without kafka", func() bool {
		status, ready := s.get(t, "/readyz")
		return status == http.StatusOK && strings.Contains(ready, `"postgres":"ok"`) && strings.Contains(ready, `"kafka":"no broker answers`)
	})

	broker.Start(t)
	broker.Produce(t, command(t, contracts.ConfirmOrder{Envelope: contracts.NewEnvelope(1, uuid.New(), time.Now())}))
	eventually(t, "order 1 is confirmed", func() bool { return s.status(t, "/v1/orders/1") == "CONFIRMED" })
	eventually(t, "kafka is shown as ready", func() bool {
		_, ready := s.get(t, "/readyz")
		return strings.Contains(ready, `"kafka":"ok"`)
	})
	broker.Stop()
	s.place(t)
}

// A service that ends after its transaction is committed and before its offset is leaves a message
// that comes again: the next one must know it, change nothing and answer nothing.
func TestOrders_ACommandRedeliveredAfterALostOffsetCommitHasNoSecondEffect(t *testing.T) {
	t.Parallel()
	db, broker := pgtest.New(t, migrations.Outbox, migrations.Orders), kafkatest.Start(t, contracts.Topics()...)
	lost := broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	first := start(t, db, broker.Addr())
	first.place(t)
	broker.Produce(t, command(t, contracts.ConfirmOrder{Envelope: contracts.NewEnvelope(1, uuid.New(), time.Now())}))
	eventually(t, "order 1 is confirmed", func() bool { return first.status(t, "/v1/orders/1") == "CONFIRMED" })
	first.stop()
	for _, offset := range broker.Committed(t, contracts.GroupOrders, contracts.TopicOrderCommands) {
		require.LessOrEqual(t, offset, int64(0))
	}
	lost.Remove()

	second := start(t, db, broker.Addr())
	eventually(t, "the command comes again", func() bool {
		_, metrics := second.get(t, "/metrics")
		return strings.Contains(metrics, `waybill_inbox_messages_total{consumer="orders-service",outcome="duplicate"} 1`)
	})
	require.Equal(t, "CONFIRMED", second.status(t, "/v1/orders/1"))
	require.Equal(t, 1, answers(t, db))
}

func TestNew_RefusesAnOlderSchemaAndSaysWhatToRun(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	_, err := app.New(t.Context(), settings(db, "127.0.0.1:1"), slog.New(slog.DiscardHandler))
	var old *chassispg.SchemaError
	require.ErrorAs(t, err, &old)
	require.ErrorContains(t, err, "migrate up")
	require.ErrorContains(t, err, "orders")
	require.NotContains(t, err.Error(), "postgres://")
}

func TestSchemaVersion_IsTheLatestMigration(t *testing.T) {
	t.Parallel()
	latest, err := migrations.Latest(migrations.Orders)
	require.NoError(t, err)
	require.EqualValues(t, postgres.SchemaVersion, latest)
}

func TestNew_CanBeStoppedWhileItWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := settings(&pgtest.Database{URL: "postgres://nobody@127.0.0.1:1/orders"}, "127.0.0.1:1")
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := app.New(ctx, cfg, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, context.Canceled)
}
