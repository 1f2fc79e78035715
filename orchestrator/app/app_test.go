package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/chassis/config"
	"waybill.example/chassis/kafka"
	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/devstack/schematest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/app"
	"waybill.example/orchestrator/orderflow"
	"waybill.example/orchestrator/ordersaga"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProcess) != "" {
		process()
		return
	}
	pgtest.Main(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// system is an orchestrator that runs, its database and its broker. There is no relay: the test
// reads the commands from the outbox.
type system struct {
	t      *testing.T
	db     *pgtest.Database
	broker *kafkatest.Broker
	sagas  *app.Sagas // nil: the order flow's
	addr   string
	stop   func()
}

func newDatabase(t *testing.T) *pgtest.Database {
	t.Helper()
	return pgtest.New(t, migrations.Outbox, migrations.Orchestrator)
}

// publishes has the outbox count as published, now and later: without a relay no deadline would
// come.
func (s *system) publishes() {
	_, err := s.db.Pool.Exec(s.t.Context(), "update outbox_cursor set published = '{[1,1000000000)}'")
	require.NoError(s.t, err)
}

// settings are the orchestrator's, and those of the order saga.
type settings struct {
	app.Config

	Timing ordersaga.Timing
}

// orderSagas is what the orchestrator of the order flow runs.
func orderSagas(timing ordersaga.Timing) (app.Sagas, error) {
	definitions, err := orderflow.Definitions(timing)
	return app.Sagas{Definitions: definitions, Topics: orderflow.Topics(), Codec: orderflow.Codec{}, Content: orderflow.Content}, err
}

func startSystem(t *testing.T, change func(*settings)) *system {
	t.Helper()
	s := &system{
		t: t, db: newDatabase(t),
		broker: kafkatest.Start(t, contracts.TopicOrders, contracts.TopicInventory),
	}
	schematest.Watch(t, s.db.Pool)
	s.start(change)
	return s
}

func (s *system) start(change func(*settings)) {
	s.t.Helper()
	cfg := settings{Config: app.DefaultConfig()}
	cfg.Postgres.URL, cfg.HTTP.Addr = config.Secret(s.db.URL), "127.0.0.1:0"
	cfg.Kafka = kafka.Config{Brokers: []string{s.broker.Addr()}, SecurityProtocol: "PLAINTEXT"}
	cfg.BatchSize, cfg.DeadlineRate, cfg.Retention = 500, 500, time.Hour*24
	cfg.Timing.ReserveWithin, cfg.Timing.ReserveAttempts = time.Minute, 3
	cfg.Timing.ReplyWithin, cfg.Timing.CancelWindow = time.Minute, time.Hour
	if change != nil {
		change(&cfg)
	}
	sagas, err := orderSagas(cfg.Timing)
	require.NoError(s.t, err)
	if s.sagas != nil {
		sagas = *s.sagas
	}
	a, err := app.New(s.t.Context(), cfg.Config, sagas, slog.New(slog.DiscardHandler))
	require.NoError(s.t, err)
	s.addr = a.Addr()
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	s.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(s.t, <-done)
		}
	}
	s.t.Cleanup(func() { s.stop() })
}

func (s *system) send(messages ...contracts.Message) {
	s.t.Helper()
	records := make([]kafkatest.Record, len(messages))
	for i, m := range messages {
		r, err := contracts.Encode(m)
		require.NoError(s.t, err)
		records[i] = kafkatest.Record{Topic: r.Topic, Key: []byte(r.Key), Value: r.Payload, Headers: r.Headers}
	}
	s.broker.Produce(s.t, records...)
}

// command waits for the nth command of a type for an order.
func (s *system) command(order int64, messageType contracts.Type, nth int) uuid.UUID {
	s.t.Helper()
	var ids []uuid.UUID
	s.eventually(func() bool {
		rows, err := s.db.Pool.Query(s.t.Context(),
			"select event_id from outbox where key = $1 and type = $2 order by id", fmt.Sprint(order), string(messageType))
		require.NoError(s.t, err)
		ids = nil
		for rows.Next() {
			var id uuid.UUID
			require.NoError(s.t, rows.Scan(&id))
			ids = append(ids, id)
		}
		require.NoError(s.t, rows.Err())
		return len(ids) >= nth
	}, "%s number %d of order %d", messageType, nth, order)
	return ids[nth-1]
}

func (s *system) eventually(ok func() bool, what string, args ...any) {
	s.t.Helper()
	require.Eventually(s.t, ok, 2*time.Minute, 10*time.Millisecond, append([]any{what}, args...)...)
}

func (s *system) get(path string, into any) int {
	s.t.Helper()
	response, err := http.Get("http://" + s.addr + path)
	require.NoError(s.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	if into != nil {
		require.NoError(s.t, json.Unmarshal(body, into), "%s", body)
	}
	return response.StatusCode
}

type view struct {
	State    string `json:"state"`
	Reason   string `json:"reason"`
	Timeline []struct {
		Kind      string    `json:"kind"`
		CauseID   uuid.UUID `json:"causeId"`
		CauseType string    `json:"causeType"`
	} `json:"timeline"`
}

func (s *system) saga(order int64) view {
	s.t.Helper()
	var v view
	for { // a database with much else to do may not answer in time
		switch status := s.get(fmt.Sprintf("/v1/sagas/%d", order), &v); status {
		case http.StatusServiceUnavailable:
			continue
		default:
			require.Equal(s.t, http.StatusOK, status)
			return v
		}
	}
}

func created(id int64) contracts.OrderCreated {
	return contracts.OrderCreated{
		Envelope: contracts.NewEnvelope(id, uuid.Nil, time.Now()), UserID: "u1", SKU: "burger", Quantity: 2,
	}
}

func reserved(id int64, cause uuid.UUID) contracts.InventoryReserved {
	return contracts.InventoryReserved{Envelope: contracts.NewEnvelope(id, cause, time.Now()), Reserved: true}
}

func TestAnOrderIsCarriedToItsEndAndEveryStepIsShown(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	order := created(1)
	s.send(order)
	reserve := s.command(1, contracts.TypeReserveInventory, 1)
	s.send(reserved(1, reserve))
	confirm := s.command(1, contracts.TypeConfirmOrder, 1)
	confirmed := contracts.OrderConfirmed{Envelope: contracts.NewEnvelope(1, confirm, time.Now())}
	s.send(confirmed)
	s.eventually(func() bool { return s.saga(1).State == "CONFIRMED" }, "the saga ends")
	timeline := s.saga(1).Timeline
	require.Len(t, timeline, 3)
	require.Equal(t, order.EventID, timeline[0].CauseID)
	require.Equal(t, confirmed.EventID, timeline[2].CauseID)

	var list struct{ Sagas []view }
	require.Equal(t, http.StatusOK, s.get("/v1/sagas?state=confirmed", &list))
	require.Len(t, list.Sagas, 1)
	require.Equal(t, http.StatusNotFound, s.get("/v1/sagas/2", nil))
	require.Equal(t, http.StatusUnprocessableEntity, s.get("/v1/sagas?limit=0", nil))
	require.Equal(t, http.StatusUnprocessableEntity, s.get("/v1/sagas?cursor=nonsense", nil))
	require.Equal(t, http.StatusUnprocessableEntity, s.get("/v1/sagas?olderThan=old", nil))
	s.eventually(func() bool { return s.get("/readyz", nil) == http.StatusOK }, "it is ready")
}

// A message that is delivered twice, before and after a restart, has its effect once: one command
// leaves for each step.
func TestADuplicateOfEachMessageChangesNothing(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	order := created(1)
	s.send(order, order)
	reply := reserved(1, s.command(1, contracts.TypeReserveInventory, 1))
	s.send(reply, reply, order)
	s.command(1, contracts.TypeConfirmOrder, 1)
	s.stop()
	s.start(nil)
	s.send(order, reply, created(2))
	s.command(2, contracts.TypeReserveInventory, 1)
	var commands int
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select count(*) from outbox where key = '1'").Scan(&commands))
	require.Equal(t, 2, commands)
}

func TestWhatCannotBeReadIsADeadLetterAndWhatIsUnknownIsSkipped(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	s.broker.Produce(t,
		kafkatest.Record{Topic: contracts.TopicOrders, Key: []byte("1"), Value: []byte("{no json")},
		kafkatest.Record{Topic: contracts.TopicOrders, Key: []byte("1"), Value: []byte(`{"type":"OrderCreated","orderId":1}`)},
		kafkatest.Record{Topic: contracts.TopicOrders, Key: []byte("1"), Value: []byte(`{"type":"OrderPraised"}`)},
	)
	s.send(reserved(99, uuid.New())) // a reply for no saga
	impossible, err := contracts.Encode(created(3))
	require.NoError(t, err)
	s.broker.Produce(t, kafkatest.Record{ // valid JSON that no jsonb can hold
		Topic: impossible.Topic, Key: []byte(impossible.Key), Value: []byte(strings.Replace(string(impossible.Payload), `"u1"`, `"a\u0000b"`, 1)),
	})
	s.send(created(2))
	s.command(2, contracts.TypeReserveInventory, 1)
	var letters int
	s.eventually(func() bool {
		require.NoError(t, s.db.Pool.QueryRow(t.Context(),
			"select count(*) from outbox where topic = 'orders.v1.dlq'").Scan(&letters))
		return letters == 3
	}, "three dead letters")
	require.Equal(t, http.StatusNotFound, s.get("/v1/sagas/3", nil))
	require.Equal(t, http.StatusNotFound, s.get("/v1/sagas/99", nil))
}

func TestASilentInventoryEndsInCancellationAndALateReservationIsReleased(t *testing.T) {
	t.Parallel()
	s := startSystem(t, func(c *settings) {
		c.Timing.ReserveWithin, c.Timing.ReserveAttempts = 100*time.Millisecond, 2
	})
	s.publishes()
	s.send(created(1))
	reserve := s.command(1, contracts.TypeReserveInventory, 1)
	s.command(1, contracts.TypeReserveInventory, 2)
	release := s.command(1, contracts.TypeReleaseInventory, 1)
	cancel := s.command(1, contracts.TypeCancelOrder, 1)
	s.send(
		contracts.OrderCancelled{Envelope: contracts.NewEnvelope(1, cancel, time.Now()), Reason: "inventory did not answer"},
		contracts.InventoryReleased{Envelope: contracts.NewEnvelope(1, release, time.Now())},
	)
	s.eventually(func() bool { return s.saga(1).State == "CANCELLED" }, "the saga ends")
	require.Equal(t, "inventory did not answer", s.saga(1).Reason)

	s.send(reserved(1, reserve))
	again := s.command(1, contracts.TypeReleaseInventory, 2)
	s.send(contracts.InventoryReleased{Envelope: contracts.NewEnvelope(1, again, time.Now())})
	s.eventually(func() bool { return s.saga(1).State == "CANCELLED" }, "the saga ends again")
}

func TestTheServiceRefusesASchemaThatIsTooOld(t *testing.T) {
	t.Parallel()
	cfg := settings{Config: app.DefaultConfig()}
	cfg.Postgres.URL, cfg.HTTP.Addr = config.Secret(pgtest.New(t, migrations.Outbox).URL), "127.0.0.1:0"
	cfg.Timing.ReserveWithin, cfg.Timing.ReserveAttempts, cfg.Timing.ReplyWithin = time.Second, 1, time.Second
	sagas, err := orderSagas(cfg.Timing)
	require.NoError(t, err)
	_, err = app.New(t.Context(), cfg.Config, sagas, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "migrate up")
}
