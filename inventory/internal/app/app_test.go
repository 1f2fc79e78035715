package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/chassis/config"
	"waybill.example/chassis/kafka"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/chassis/telemetry"
	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/inventory/internal/app"
	"waybill.example/inventory/internal/consumer"
	"waybill.example/inventory/internal/postgres"
	"waybill.example/inventory/stock"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
)

// A fenced Kafka client never closes (confluent-kafka-go 2.15) and is left behind.
func TestMain(m *testing.M) {
	pgtest.Main(m,
		goleak.IgnoreAnyFunction("waybill.example/chassis/kafka.(*Consumer).close.func1"),
		goleak.IgnoreAnyFunction("waybill.example/chassis/kafka.ReadLogs.func1"))
}

// client keeps no connection, so that none is left when a test ends.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

// system is a database and a broker for any number of inventory services. There is no relay: the
// tests read the answers from the outbox.
type system struct {
	t      *testing.T
	db     *pgtest.Database
	broker *kafkatest.Broker
}

func newSystem(t *testing.T) *system {
	t.Helper()
	return &system{
		t: t, db: pgtest.New(t, migrations.Outbox, migrations.Inventory),
		broker: kafkatest.Start(t, contracts.TopicInventoryCommands),
	}
}

func (s *system) config() app.Config {
	cfg := app.DefaultConfig()
	cfg.Postgres.URL, cfg.HTTP.Addr = config.Secret(s.db.URL), "127.0.0.1:0"
	cfg.GRPC.Addr = "127.0.0.1:0"
	cfg.Kafka = kafka.Config{Brokers: []string{s.broker.Addr()}, SecurityProtocol: "PLAINTEXT"}
	return cfg
}

// service is a running inventory.
type service struct {
	t    *testing.T
	addr string
	stop func() // may be called twice
}

func (s *system) start() *service {
	s.t.Helper()
	return s.startWith(s.config())
}

func (s *system) startWith(cfg app.Config) *service {
	s.t.Helper()
	a, err := app.New(s.t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(s.t, err)
	ctx, cancel := context.WithCancel(context.Background()) // the test's own ends before its cleanups
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(s.t, <-done)
		}
	}
	s.t.Cleanup(stop)
	return &service{s.t, a.Addr(), stop}
}

// do returns the status and the body of an answer, and how long a client is told to wait.
func (v *service) do(method, path, body string) (status int, answer, retryAfter string) {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), method, "http://"+v.addr+path, strings.NewReader(body))
	require.NoError(v.t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	require.NoError(v.t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	require.NoError(v.t, err)
	return response.StatusCode, string(read), response.Header.Get("Retry-After")
}

func (v *service) put(sku string, onHand int) {
	v.t.Helper()
	status, answer, _ := v.do(http.MethodPut, "/v1/stock/"+sku, fmt.Sprintf(`{"onHand":%d}`, onHand))
	require.Contains(v.t, []int{http.StatusOK, http.StatusCreated}, status, answer)
}

func (v *service) requireLevel(sku string, onHand, reserved int64) {
	v.t.Helper()
	status, answer, _ := v.do(http.MethodGet, "/v1/stock/"+sku, "")
	require.Equal(v.t, http.StatusOK, status, answer)
	var level struct{ OnHand, Reserved int64 }
	require.NoError(v.t, json.Unmarshal([]byte(answer), &level))
	require.Equal(v.t, []int64{onHand, reserved}, []int64{level.OnHand, level.Reserved}, "on hand and reserved")
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

// answers waits for so many rows in the outbox and returns how many there are of each type.
func (s *system) answers(n int) map[string]int {
	s.t.Helper()
	byType := map[string]int{}
	s.eventually(func() bool {
		clear(byType)
		rows, _ := s.db.Pool.Query(s.t.Context(), "select type from outbox")
		types, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(s.t, err)
		for _, kind := range types {
			byType[kind]++
		}
		return len(types) >= n
	}, "%d answers in the outbox", n)
	return byType
}

func (s *system) eventually(ok func() bool, what string, args ...any) {
	s.t.Helper()
	require.Eventually(s.t, ok, 2*time.Minute, 10*time.Millisecond, append([]any{what}, args...)...)
}

// requireApplied waits until the consumer knows that so many messages are durable.
func (v *service) requireApplied(n int) {
	v.t.Helper()
	line := fmt.Sprintf("waybill_inbox_messages_total{consumer=\"inventory-service\",outcome=\"applied\"} %d\n", n)
	require.Eventually(v.t, func() bool {
		_, metrics, _ := v.do(http.MethodGet, "/metrics", "")
		return strings.Contains(metrics, line)
	}, time.Minute, 10*time.Millisecond)
}

// committed is how many messages the group will not be given again.
func (s *system) committed() (n int64) {
	s.t.Helper()
	for _, offset := range s.broker.Committed(s.t, contracts.GroupInventory, contracts.TopicInventoryCommands) {
		n += offset
	}
	return n
}

func reserve(order int64, sku string, quantity int32) contracts.ReserveInventory {
	return contracts.ReserveInventory{
		Envelope: contracts.NewEnvelope(order, uuid.Nil, time.Now()), SKU: sku, Quantity: quantity,
	}
}

func release(order int64) contracts.ReleaseInventory {
	return contracts.ReleaseInventory{Envelope: contracts.NewEnvelope(order, uuid.Nil, time.Now())}
}

func TestInventory_CommandsAreAnsweredAndAnOrderlyStopCommitsThem(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	v := s.start()
	v.put("burger", 5)
	s.send(reserve(1, "burger", 2), reserve(2, "pizza", 1), release(3))
	require.Equal(t, map[string]int{"InventoryReserved": 1, "InventoryRejected": 1, "InventoryReleased": 1}, s.answers(3))
	v.requireLevel("burger", 3, 2)
	status, answer, _ := v.do(http.MethodGet, "/v1/reservations/1", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, answer, `"state":"RESERVED"`)
	var ready struct {
		Status string
		Checks map[string]string
	}
	s.eventually(func() bool { // each check has a second
		_, answer, _ = v.do(http.MethodGet, "/readyz", "")
		require.NoError(t, json.Unmarshal([]byte(answer), &ready), answer)
		return ready.Status == "ready" && ready.Checks["kafka"] == "ok"
	}, "ready")
	all := map[string]string{"postgres": "ok", "kafka": "ok", "consumer": "ok", "dead letters": "ok", "dead letters that wait": "ok"}
	require.Equal(t, all, ready.Checks)
	v.requireApplied(3)
	v.stop()
	require.Equal(t, int64(3), s.committed())
}

// crashing applies messages like the service and dies before their offsets are committed.
type crashing struct {
	*consumer.Handler
	die context.CancelFunc
}

var errCrash = errors.New("crashed")

func (c crashing) Process(ctx context.Context, batch []inbox.Delivery) error {
	if err := c.Handler.Process(ctx, batch); err != nil {
		return err
	}
	c.die()
	return errCrash
}

// A consumer dies between its commit in the database and its commit of the offsets: the messages
// come again, to the next one, and have had their effect already.
func TestInventory_WhatWasAppliedBeforeACrashIsNotAppliedAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	store := postgres.NewStore(s.db.Pool)
	_, err := store.Change(t.Context(), stock.Change{SKU: "burger", Kind: stock.KindSet, Amount: 5, Origin: stock.Origin{Actor: "tester"}})
	require.NoError(t, err)
	s.send(reserve(1, "burger", 2), release(2))

	ctx, die := context.WithCancel(t.Context())
	handler := crashing{consumer.New(s.db.Pool, store, slog.New(slog.DiscardHandler), prometheus.NewRegistry()), die}
	dying, err := kafka.NewConsumer(s.config().Kafka, kafka.ConsumerOptions{
		Group: contracts.GroupInventory, ClientID: "dying", Topics: []string{contracts.TopicInventoryCommands},
	}, handler, slog.New(slog.DiscardHandler), telemetry.Metrics())
	require.NoError(t, err)
	require.NoError(t, dying.Run(ctx))
	before := s.answers(1)
	require.Zero(t, s.committed())

	v := s.start()
	s.send(reserve(3, "burger", 2))
	require.Equal(t, map[string]int{"InventoryReserved": 2, "InventoryReleased": 1}, s.answers(3))
	require.NotEmpty(t, before)
	v.requireLevel("burger", 1, 4)
	v.requireApplied(3 - len(before))
	// The messages that came again may be the last to be read.
	require.Eventually(t, func() bool { return s.committed() == 3 }, time.Minute, 10*time.Millisecond)
	v.stop()
	var handled int
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select count(*) from inbox").Scan(&handled))
	require.Equal(t, 3, handled)
}

// Of the last items there are ten, and forty orders in three partitions want one each, from two
// services at once: ten get one, each order is answered once, and nobody deadlocks.
func TestInventory_TwoServicesShareTheLastItems(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	first, second := s.start(), s.start()
	first.put("burger", 10)
	var commands []contracts.Message
	for order := range int64(40) {
		commands = append(commands, reserve(order+1, "burger", 1))
	}
	s.send(commands...)
	s.send(commands...) // each of them twice
	require.Equal(t, map[string]int{"InventoryReserved": 10, "InventoryRejected": 30}, s.answers(40))
	second.requireLevel("burger", 0, 10)
	first.stop()
	second.stop()
	require.Equal(t, map[string]int{"InventoryReserved": 10, "InventoryRejected": 30}, s.answers(40))
	var broken int
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select count(*) from stock_audit").Scan(&broken))
	require.Zero(t, broken)
}

func TestInventory_APoisonedTopicFlowsOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start().put("burger", 5)
	poison := func(key, value string) kafkatest.Record {
		return kafkatest.Record{Topic: contracts.TopicInventoryCommands, Key: []byte(key), Value: []byte(value)}
	}
	s.send(reserve(1, "burger", 1))
	s.broker.Produce(t, poison("1", "{"), poison("1", "\x00\xff"), poison("\xff", strings.Repeat("[", 500_000)),
		poison("1", `{"type":"CountInventory"}`))
	s.send(release(1), release(2))
	require.Equal(t, map[string]int{"InventoryReserved": 1, "InventoryReleased": 1, inbox.TypeDeadLetter: 3}, s.answers(5))
	require.Eventually(t, func() bool {
		var parked int
		require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select count(*) from dead_letters where state = 'parked' and key = '1'").Scan(&parked))
		return parked == 1
	}, 2*time.Minute, 20*time.Millisecond, "what follows the poison of its own key waits")
	var topics []string
	require.NoError(t, s.db.Pool.QueryRow(t.Context(),
		"select array_agg(distinct topic) from outbox where type = $1", inbox.TypeDeadLetter).Scan(&topics))
	require.Equal(t, []string{contracts.DeadLetterTopic(contracts.TopicInventoryCommands)}, topics)
}

func TestInventory_WaitsForABrokerThatIsDown(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.broker.Stop()
	v := s.start()
	v.put("burger", 5)
	s.eventually(func() bool {
		status, answer, _ := v.do(http.MethodGet, "/readyz", "")
		return status == http.StatusOK && strings.Contains(answer, "no broker answers")
	}, "stock can be set without Kafka")
	s.broker.Start(t)
	s.send(reserve(1, "burger", 2))
	require.Equal(t, map[string]int{"InventoryReserved": 1}, s.answers(1))
}

// While the database is down every request is answered within two seconds, and the commands wait;
// when it is back they are applied, and none becomes a dead letter.
func TestInventory_WaitsForADatabaseThatIsDown(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	s := &system{
		t: t, db: server.New(t, migrations.Outbox, migrations.Inventory),
		broker: kafkatest.Start(t, contracts.TopicInventoryCommands),
	}
	v := s.start()
	v.put("burger", 5)
	requireUnavailable := func() {
		t.Helper()
		for _, request := range [][3]string{
			// What it is already: the frozen server may have read it, and do it when it thaws.
			{http.MethodPut, "/v1/stock/burger", `{"onHand":5}`},
			{http.MethodGet, "/v1/stock/burger", ""},
			{http.MethodGet, "/v1/stock", ""},
			{http.MethodGet, "/v1/reservations/1", ""},
		} {
			var answer string
			var took time.Duration
			for range 3 { // a machine with much else to do may be slow once
				var status int
				var retryAfter string
				began := time.Now()
				status, answer, retryAfter = v.do(request[0], request[1], request[2])
				require.Equal(t, http.StatusServiceUnavailable, status, answer)
				require.NotEmpty(t, retryAfter)
				if took = time.Since(began); took < 2*time.Second {
					break
				}
			}
			require.Less(t, took, 2*time.Second)
			for _, secret := range []string{"SQL", "postgres", "select", "127.0.0.1"} {
				require.NotContains(t, answer, secret)
			}
		}
		status, answer, _ := v.do(http.MethodGet, "/readyz", "")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, answer, "the database does not answer")
	}
	server.Process().Freeze()
	requireUnavailable()
	server.Process().Thaw()
	require.NoError(t, server.Stop())
	s.send(reserve(1, "burger", 2))
	requireUnavailable()

	require.NoError(t, server.Start(t.Context()))
	s.db.Pool.Reset()
	require.Equal(t, map[string]int{"InventoryReserved": 1}, s.answers(1))
	v.requireLevel("burger", 3, 2)
}

func TestNew_RefusesAnOlderSchemaAndSaysWhatToRun(t *testing.T) {
	t.Parallel()
	s := &system{t: t, db: pgtest.New(t, migrations.Outbox), broker: kafkatest.Start(t)}
	_, err := app.New(t.Context(), s.config(), slog.New(slog.DiscardHandler))
	var old *chassispg.SchemaError
	require.ErrorAs(t, err, &old)
	require.ErrorContains(t, err, "migrate up")
	require.ErrorContains(t, err, "inventory")
}
