// Package e2e_test drives the built programs from outside: HTTP, the Kafka
// protocol, signals, and the commands that a person has.
package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestOrders runs its parts one after the other on one stack, each on what the
// one before has left.
func TestOrders(t *testing.T) {
	t.Parallel()
	// A webhook that nobody listens at: what is only there with one is part of the vocabulary.
	s := start(t, newDir(t), "NOTIFY_WEBHOOK_URL=http://127.0.0.1:1/", "NOTIFY_WEBHOOK_SECRET=whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")

	t.Run("the tutorial's order is confirmed", s.tutorial)
	t.Run("the four APIs have one vocabulary", s.vocabulary)
	t.Run("each service says what was built", s.version)
	t.Run("every metric of the dashboards and alerts exists", s.metrics)
	t.Run("what cannot be had is cancelled with a reason", s.rejections)
	t.Run("an order of several lines gets all of them or none", s.severalLines)
	t.Run("OrderCreated is on the topic as promised", s.orderCreatedOnTheWire)
	t.Run("orders placed while the broker is dead all end", s.brokerKilled)
	t.Run("orders in flight survive the death of any service", s.servicesKilled)
	t.Run("without Postgres orders are refused at once, and taken again after", s.postgresKilled)
	t.Run("stock is conserved", s.stockConserved)
	t.Run("Ctrl-C leaves no process", s.interrupted)
}

// Tutorials and scripts depend on these two calls, letter by letter.
func (s *system) tutorial(t *testing.T) {
	status, answer, header := call(t, http.MethodPost, s.url(t, stack.Orders, "/v1/orders"),
		`{"userId":"u1","sku":"burger","quantity":2,"note":"kafka test"}`)
	require.Equal(t, http.StatusAccepted, status)
	require.JSONEq(t, `{"id":1}`, answer)
	require.Equal(t, "/v1/orders/1", header.Get("Location"))
	require.Equal(t,
		order{ID: 1, UserID: "u1", SKU: "burger", Quantity: 2, Note: "kafka test", Status: "CONFIRMED"},
		s.outcome(t, 1))
}

func (s *system) rejections(t *testing.T) {
	all := s.outcome(t, s.place(t, `{"userId":"u1","sku":"pizza","quantity":3}`))
	require.Equal(t, "CONFIRMED", all.Status, "stock may go to exactly zero")
	more := s.outcome(t, s.place(t, `{"userId":"u1","sku":"pizza","quantity":1}`))
	require.Equal(t, "CANCELLED", more.Status)
	require.Equal(t, "insufficient stock: 0 available, 1 requested", more.Reason)
	unknown := s.outcome(t, s.place(t, `{"userId":"u1","sku":"unicorn","quantity":1}`))
	require.Equal(t, "CANCELLED", unknown.Status)
	require.Equal(t, `unknown sku "unicorn"`, unknown.Reason)
}

func (s *system) severalLines(t *testing.T) {
	before := s.stock(t, "burger").OnHand
	all := s.outcome(t, s.place(t, `{"userId":"u1","items":[{"sku":"cola","quantity":1},{"sku":"burger","quantity":2}]}`))
	require.Equal(t, "CONFIRMED", all.Status)
	require.Equal(t, before-2, s.stock(t, "burger").OnHand)
	none := s.outcome(t, s.place(t, `{"userId":"u1","items":[{"sku":"burger","quantity":1},{"sku":"unicorn","quantity":1},{"sku":"dragon","quantity":2}]}`))
	require.Equal(t, "CANCELLED", none.Status)
	require.Equal(t, `unknown sku "unicorn": 1 requested; unknown sku "dragon": 2 requested`, none.Reason)
	require.Equal(t, before-2, s.stock(t, "burger").OnHand, "all or nothing")
}

func (s *system) orderCreatedOnTheWire(t *testing.T) {
	consumer, err := kgo.NewClient(
		kgo.SeedBrokers(s.process(t, stack.Broker).Addr),
		kgo.ConsumeTopics(contracts.TopicOrders),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	for {
		fetches := consumer.PollFetches(ctx)
		require.NoError(t, ctx.Err())
		for _, record := range fetches.Records() {
			var body map[string]json.RawMessage // as it is written, types and all
			require.NoError(t, json.Unmarshal(record.Value, &body))
			if string(body["type"]) != `"OrderCreated"` || string(body["orderId"]) != "1" {
				continue
			}
			require.Equal(t, "1", string(record.Key))
			require.Equal(t, `"u1"`, string(body["userId"]))
			require.Equal(t, `"burger"`, string(body["sku"]))
			require.Equal(t, "2", string(body["quantity"]))
			require.Regexp(t, `^"[0-9a-f]{8}-[0-9a-f]{4}-7`, string(body["eventId"]))
			require.Regexp(t, `^"\d{4}-\d\d-\d\dT[0-9:.]+Z"$`, string(body["time"]))
			return
		}
	}
}

// The broker is killed with SIGKILL by its pid in stack.json. Twenty orders are
// accepted without it, and all of them end once it is started again.
func (s *system) brokerKilled(t *testing.T) {
	s.killByHand(t, stack.Broker)
	ids := s.placeMany(t, 20)
	for _, id := range ids {
		require.Contains(t, show(t, s.url(t, stack.Orders, fmt.Sprintf("/v1/orders/%d", id))), "PENDING")
	}
	s.act(t, stack.Start, stack.Broker)
	s.allConfirmed(t, ids)
}

// Whatever an order waits for when a service dies, it goes on when the service
// is there again.
func (s *system) servicesKilled(t *testing.T) {
	for _, name := range []string{stack.Inventory, stack.Orchestrator, stack.Relay, stack.Orders} {
		ids := s.placeMany(t, 20)
		s.killByHand(t, name)
		s.act(t, stack.Start, name)
		s.allConfirmed(t, ids)
	}
}

func (s *system) placeMany(t *testing.T, n int) (ids []int64) {
	t.Helper()
	for i := range n {
		ids = append(ids, s.place(t, `{"userId":"u`+strconv.Itoa(i)+`","sku":"burger","quantity":1}`))
	}
	return ids
}

func (s *system) allConfirmed(t *testing.T, ids []int64) {
	t.Helper()
	for _, id := range ids {
		require.Equal(t, "CONFIRMED", s.outcome(t, id).Status)
	}
}

// Without its database the service cannot promise anything, and says so at
// once rather than after a time-out.
func (s *system) postgresKilled(t *testing.T) {
	s.act(t, stack.Kill, stack.Postgres)
	var took time.Duration
	for range 3 { // a machine with much else to do may be slow once
		began := time.Now()
		status, answer, header := call(t, http.MethodPost, s.url(t, stack.Orders, "/v1/orders"),
			`{"userId":"u1","sku":"burger","quantity":1}`)
		require.Equal(t, http.StatusServiceUnavailable, status, answer)
		require.NotEmpty(t, header.Get("Retry-After"))
		if took = time.Since(began); took < 2*time.Second {
			break
		}
	}
	require.Less(t, took, 2*time.Second)

	s.act(t, stack.Start, stack.Postgres)
	await(t, "orders are taken again", func() bool {
		status, _, _ := call(t, http.MethodGet, s.url(t, stack.Orders, "/readyz"), "")
		return status == http.StatusOK
	})
	s.allConfirmed(t, s.placeMany(t, 5))
}

// Every confirmed order took its quantity from the shelf, exactly once, through
// all that has happened.
func (s *system) stockConserved(t *testing.T) {
	const confirmed = 2 + 2 + 20 + 4*20 + 5 // of burgers, by the parts above
	level := s.stock(t, "burger")
	require.Equal(t, level.Received-confirmed, level.OnHand)
	require.Zero(t, s.stock(t, "pizza").OnHand)
}

func (s *system) interrupted(t *testing.T) {
	pids := s.pids(t)
	require.Len(t, pids, 6)
	require.NoError(t, s.supervisor.Signal(syscall.SIGINT))
	select {
	case <-s.supervisor.Done():
	case <-time.After(waitTimeout):
		require.Fail(t, "the supervisor goes on")
	}
	require.NoError(t, s.supervisor.Err(), "exit status 0")
	for _, pid := range pids {
		require.True(t, gone(pid), "process %d is left", pid)
	}
	require.NotContains(t, s.output.String(), "was killed", "everything stopped in order")
}

func TestServiceThatDiesAtStartIsNamedAndNothingIsLeft(t *testing.T) {
	t.Parallel()
	s := launch(t, newDir(t), "RESERVE_ATTEMPTS=0") // the orchestrator's
	<-s.supervisor.Done()
	require.Error(t, s.supervisor.Err())
	require.Contains(t, s.output.String(), "devstack: orchestrator ended before it was ready: exit status")
	require.Contains(t, s.output.String(), "RESERVE_ATTEMPTS", "its own last words are shown")
	require.Empty(t, s.pids(t))
}

// A supervisor that is killed takes its processes with it, and the next one
// carries on with the same data.
func TestKilledSupervisorLeavesNothingThatStopsTheNext(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	first := start(t, dir)
	id := first.place(t, `{"userId":"u1","sku":"burger","quantity":1}`)
	pids := first.pids(t)
	require.NoError(t, first.supervisor.Signal(syscall.SIGKILL))

	second := start(t, dir)
	for _, pid := range pids {
		require.True(t, gone(pid), "process %d is left", pid)
	}
	second.allConfirmed(t, []int64{id})
}
