package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/app"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
)

// The second saga: three participants, two of them at once, on topics of its own. Nothing here is
// known to the engine or to the service.
const (
	purchases        = "purchases.v1"
	purchaseCommands = "purchase.commands.v1"
)

type item struct {
	Item string `json:"item"`
}

func itemBody(c saga.Call[item]) (any, error) { return c.Data, nil }

func purchaseSagas(t *testing.T) app.Sagas {
	t.Helper()
	s := saga.Define[item]("purchase", 1)
	s.To(purchaseCommands)
	s.StartOn("PurchasePlaced", saga.From(func(i item) item { return i }))
	s.Ends("DELIVERED", "REFUNDED")
	wait := saga.RetryPolicy{Timeout: 10 * time.Second, MaxAttempts: 2} // a busy machine is not silent
	undo := saga.RetryPolicy{Timeout: time.Second, MaxAttempts: 20}
	reason := saga.From(func(r struct{ Reason string }) string { return r.Reason })
	s.Step("stock").Send("ReserveStock", itemBody).Success("ReserveStockDone").Failure("ReserveStockRefused", reason).
		Wait(wait, "the warehouse did not answer").Undo("ReleaseStock", itemBody, "ReleaseStockDone", undo)
	s.Parallel("payment").Send("AuthorisePayment", itemBody).Success("AuthorisePaymentDone").Failure("AuthorisePaymentRefused", reason).
		Wait(wait, "the bank did not answer").Undo("VoidPayment", itemBody, "VoidPaymentDone", undo)
	s.Step("shipping").Send("ShipParcel", itemBody).Success("ShipParcelDone").Failure("ShipParcelRefused", reason).
		Wait(wait, "the carrier did not answer").Undo("RecallParcel", itemBody, "RecallParcelDone", undo)
	def, err := s.Build()
	require.NoError(t, err)
	order, err := ordersaga.Definition(ordersaga.DefaultTiming())
	require.NoError(t, err)
	// Both in one orchestrator. The codec is the default.
	return app.Sagas{Definitions: []*saga.Definition{def, order}, Topics: []string{purchases}}
}

func purchaseMessage(topic string, id uuid.UUID, messageType, key string, cause uuid.UUID, body any) (outbox.Message, error) {
	payload, err := json.Marshal(body)
	return outbox.Message{
		EventID: id, Topic: topic, Key: key, Type: messageType, Payload: payload,
		Headers: map[string]string{"ce_causationid": cause.String()},
	}, err
}

func readPurchase(d inbox.Delivery) (uuid.UUID, saga.Message, error) {
	id, err := uuid.Parse(d.Header("ce_id"))
	if err != nil {
		return uuid.Nil, saga.Message{}, err
	}
	cause, _ := uuid.Parse(d.Header("ce_causationid")) // a start has none
	return id, saga.Message{ID: id, Type: d.Header("ce_type"), Key: string(d.Key), CausationID: cause, Data: d.Value}, nil
}

// participant carries out one command and its undo, in a database of its own. What it does about an
// item is in the item's name: "payment-refused lamp".
type participant struct {
	name, does, undoes string
	db                 *pgtest.Database
}

const effectsSQL = `create table effects (key text primary key, done boolean not null, undone boolean not null)`

func (p *participant) apply(ctx context.Context, tx *inbox.Tx, _ *struct{}, batch []inbox.Received[saga.Message]) ([]outbox.Message, error) {
	var out []outbox.Message
	for _, r := range batch {
		m := r.Message
		answer, err := p.carryOut(ctx, tx, m)
		if err != nil {
			return nil, err
		}
		if answer == "" || strings.Contains(string(m.Data), p.name+"-silent") && m.Type == p.does {
			continue // it was done, perhaps, and not answered
		}
		reply, err := purchaseMessage(purchases, uuid.New(), m.Type+answer, m.Key, m.ID, map[string]string{"reason": p.name + " refused"})
		if err != nil {
			return nil, err
		}
		out = append(out, reply)
	}
	return out, nil
}

// carryOut makes the effect once per purchase, however often it is asked, and remembers an undo
// that came first.
func (p *participant) carryOut(ctx context.Context, tx pgx.Tx, m saga.Message) (answer string, err error) {
	switch {
	case m.Type == p.undoes:
		_, err = tx.Exec(ctx, "insert into effects values ($1, false, true) on conflict (key) do update set undone = true", m.Key)
		return "Done", err
	case m.Type != p.does:
		return "", nil
	case strings.Contains(string(m.Data), p.name+"-refused"):
		return "Refused", nil
	}
	_, err = tx.Exec(ctx, "insert into effects values ($1, true, false) on conflict do nothing", m.Key)
	return "Done", err
}

func (p *participant) run(t *testing.T, s *system) func(context.Context) error {
	t.Helper()
	p.db = pgtest.New(t, migrations.Outbox)
	_, err := p.db.Pool.Exec(t.Context(), effectsSQL)
	require.NoError(t, err)
	handler := &inbox.Processor[saga.Message, struct{}]{Consumer: p.name, DB: p.db.Pool, Decode: readPurchase, Apply: p.apply}
	c, err := kafka.NewConsumer(kafka.Config{Brokers: []string{s.broker.Addr()}, SecurityProtocol: "PLAINTEXT"},
		kafka.ConsumerOptions{Group: p.name, ClientID: p.name, Topics: []string{purchaseCommands}},
		handler, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(t, err)
	return c.Run
}

// relay publishes what the outbox of db gets, until ctx ends.
func (s *system) relay(ctx context.Context, db *pgtest.Database) {
	for seen := []int64{0}; ctx.Err() == nil; {
		rows, err := db.Pool.Query(ctx, "select id, topic, key, type, event_id, headers, payload from outbox where id <> all ($1) order by id", seen)
		if err != nil {
			return
		}
		records, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (m kafkatest.Record, err error) {
			var row int64
			var key, messageType string
			var id uuid.UUID
			err = r.Scan(&row, &m.Topic, &key, &messageType, &id, &m.Headers, &m.Value)
			seen = append(seen, row)
			m.Key = []byte(key)
			if err == nil {
				m.Headers["ce_id"], m.Headers["ce_type"] = id.String(), messageType
			}
			return m, err
		})
		if err != nil {
			return
		}
		s.broker.Produce(s.t, records...) //nolint:contextcheck // bounded by the context of the test
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Every participant can agree, refuse and be silent; whatever happens, a purchase is either
// delivered with all three effects, or refunded with none.
func TestASagaOfThreeParticipantsRunsOnTheSameEngine(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ item, state, reason string }{
		"1": {"lamp", "DELIVERED", ""},
		"2": {"stock-refused lamp", "REFUNDED", "stock refused"},
		"3": {"payment-refused lamp", "REFUNDED", "payment refused"},
		"4": {"shipping-refused lamp", "REFUNDED", "shipping refused"},
		"5": {"stock-silent lamp", "REFUNDED", "the warehouse did not answer"},
		"6": {"payment-silent lamp", "REFUNDED", "the bank did not answer"},
		"7": {"shipping-silent lamp", "REFUNDED", "the carrier did not answer"},
	}
	sagas := purchaseSagas(t)
	s := &system{
		t: t, db: newDatabase(t), sagas: &sagas,
		broker: kafkatest.Start(t, purchases, purchaseCommands),
	}
	s.start(nil)
	s.publishes()
	participants := []*participant{
		{name: "stock", does: "ReserveStock", undoes: "ReleaseStock"},
		{name: "payment", does: "AuthorisePayment", undoes: "VoidPayment"},
		{name: "shipping", does: "ShipParcel", undoes: "RecallParcel"},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.relay(ctx, s.db) })
	for _, p := range participants {
		run := p.run(t, s)
		wg.Go(func() { _ = run(ctx) }) // its end is the test's
		wg.Go(func() { s.relay(ctx, p.db) })
	}
	// Joining a consumer group takes seconds, which would look like silence.
	s.broker.Produce(t, kafkatest.Record{
		Topic: purchaseCommands, Value: []byte("{}"), Headers: map[string]string{"ce_id": uuid.NewString(), "ce_type": "Hello"},
	})
	for _, p := range participants {
		s.eventually(func() bool {
			var heard int
			require.NoError(t, p.db.Pool.QueryRow(t.Context(), "select count(*) from inbox").Scan(&heard))
			return heard == 1
		}, "%s listens", p.name)
	}
	for key, c := range cases {
		s.broker.Produce(t, kafkatest.Record{
			Topic: purchases, Key: []byte(key), Value: fmt.Appendf(nil, `{"item":%q}`, c.item),
			Headers: map[string]string{"ce_id": uuid.NewString(), "ce_type": "PurchasePlaced"},
		})
	}
	for key, c := range cases {
		s.eventually(func() bool {
			var v view
			return s.get("/v1/sagas/"+key, &v) == 200 && v.State == c.state && v.Reason == c.reason
		}, "purchase %s (%s) ends %s: %s", key, c.item, c.state, c.reason)
	}
	for key, c := range cases {
		for _, p := range participants {
			var live int
			require.NoError(t, p.db.Pool.QueryRow(t.Context(),
				"select count(*) from effects where key = $1 and done and not undone", key).Scan(&live))
			want := 0
			if c.state == "DELIVERED" {
				want = 1
			}
			require.Equal(t, want, live, "%s: effect of %s", c.item, p.name)
		}
	}
}
