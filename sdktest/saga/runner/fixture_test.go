package runner_test

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/orderflow"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sagas is a runner on a database of its own, with a clock that the test moves.
type sagas struct {
	*runner.Runner
	*inspect.Inspector
	Store    *store.Store
	Pool     *pgxpool.Pool
	codec    *codec
	mu       sync.Mutex
	now      time.Time
	unknown  []saga.Message
	rejected []error
}

// codec knows the messages that the test hands over, by their ids.
type codec struct {
	mu       sync.Mutex
	messages map[string]saga.Message
	encode   func(saga.Ref, saga.Command) (outbox.Message, error)
}

func (c *codec) Decode(d inbox.Delivery) (saga.Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.messages[d.Header("ce_id")], nil
}

func (c *codec) Encode(of saga.Ref, command saga.Command) (outbox.Message, error) {
	return c.encode(of, command)
}

// plain sends any command, with an empty body.
func plain(_ saga.Ref, c saga.Command) (outbox.Message, error) {
	return outbox.Message{EventID: c.ID, Topic: "t", Key: c.Key, Type: c.Type, Payload: []byte("{}")}, nil
}

func newDB(t *testing.T) *pgtest.Database {
	db := pgtest.New(t, migrations.Outbox, migrations.Orchestrator)
	published(t, db)
	return db
}

// published says that everything in the outbox, now and later, has left it: no relay runs in these
// tests.
func published(t *testing.T, db *pgtest.Database) {
	_, err := db.Pool.Exec(t.Context(), "update outbox_cursor set published = '{[1,1000000000)}'")
	require.NoError(t, err)
}

// newSagas runs definitions, or the order saga where none is given.
func newSagas(t *testing.T, db *pgtest.Database, defs ...*saga.Definition) *sagas {
	t.Helper()
	s, err := trySagas(t, db, nil, defs...)
	require.NoError(t, err)
	return s
}

func trySagas(t *testing.T, db *pgtest.Database, change func(*runner.Config), defs ...*saga.Definition) (*sagas, error) {
	t.Helper()
	s := &sagas{
		Pool: db.Pool, now: start,
		codec: &codec{messages: map[string]saga.Message{}, encode: plain},
	}
	if defs == nil {
		defs, s.codec.encode = []*saga.Definition{orderDefinition(t)}, orderflow.Codec{}.Encode
	}
	config := runner.Config{
		DB: db.Pool, Consumer: "sagas", Definitions: defs, Codec: s.codec, Now: s.at,
		Local: map[string]runner.Local{},
		Observer: runner.Observer{
			Unknown:  func(m saga.Message) { s.unknown = append(s.unknown, m) },
			Rejected: func(err error) { s.rejected = append(s.rejected, err) },
		},
	}
	if change != nil {
		change(&config)
	}
	var err error
	if s.Runner, err = runner.New(t.Context(), config); err != nil {
		return nil, err
	}
	s.Inspector = inspect.New(db.Pool, s.Runner.Registry())
	s.Store = store.New(db.Pool, s.Runner.Registry())
	s.Store.Clock = s.at
	return s, nil
}

func (s *sagas) at() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *sagas) moveTo(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// due acts on the deadlines that have passed at now.
func (s *sagas) due(ctx context.Context, now time.Time, read store.Read, limit int) (int, error) {
	s.moveTo(now)
	return s.ApplyDue(ctx, read, limit)
}

// intervene returns why nothing was done, if nothing was.
func (s *sagas) intervene(ctx context.Context, ref saga.Ref, in saga.Intervention, now time.Time) error {
	s.moveTo(now)
	o, err := s.Intervene(ctx, runner.Intervention{Saga: ref, Do: in})
	return cmp.Or(err, o.Err)
}

// event is a message and the partition that it comes from.
type event struct {
	saga.Message
	Partition int32
}

// message makes an event of the order flow into one that the runner gets.
func message(t *testing.T, m contracts.Message) event {
	t.Helper()
	r, err := contracts.Encode(m)
	require.NoError(t, err)
	decoded, err := contracts.Decode(r.Topic, r.Payload, func(name string) string { return r.Headers[name] })
	require.NoError(t, err)
	return event{Message: ordersaga.Message(decoded, r.Payload, "")}
}

func created(t *testing.T, id int64) event {
	return message(t, contracts.OrderCreated{
		Envelope: contracts.NewEnvelope(id, uuid.Nil, start), UserID: "u1", SKU: "burger", Quantity: 2,
	})
}

// offset makes each delivery of the process another one.
var offset atomic.Int64

func (s *sagas) deliveries(events ...event) []inbox.Delivery {
	s.codec.mu.Lock()
	defer s.codec.mu.Unlock()
	batch := make([]inbox.Delivery, len(events))
	for i, e := range events {
		s.codec.messages[e.ID.String()] = e.Message
		batch[i] = inbox.Delivery{
			Topic: "t", Partition: e.Partition, Offset: offset.Add(1), Key: []byte(e.Key), Value: e.Data,
			Headers: []inbox.Header{{Key: "ce_id", Value: []byte(e.ID.String())}, {Key: "ce_type", Value: []byte(e.Type)}},
		}
	}
	return batch
}

// apply hands events over in one batch, at a time, and returns the messages that it led to.
func apply(t *testing.T, s *sagas, now time.Time, events ...event) []outbox.Message {
	t.Helper()
	s.moveTo(now)
	var last int64
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select coalesce(max(id), 0) from outbox").Scan(&last))
	require.NoError(t, s.Process(t.Context(), s.deliveries(events...)))
	rows, err := s.Pool.Query(t.Context(), "select event_id, topic, coalesce(key, ''), type, payload from outbox where id > $1 order by id", last)
	require.NoError(t, err)
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (m outbox.Message, err error) {
		return m, r.Scan(&m.EventID, &m.Topic, &m.Key, &m.Type, &m.Payload)
	})
	require.NoError(t, err)
	return out
}
