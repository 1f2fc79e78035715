package store_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newStore(t *testing.T, db *pgtest.Database, defs ...*saga.Definition) *store.Store {
	t.Helper()
	if defs == nil {
		def, err := ordersaga.Definition(ordersaga.DefaultTiming())
		require.NoError(t, err)
		defs = append(defs, def)
	}
	registry, err := saga.NewRegistry(defs...)
	require.NoError(t, err)
	return &store.Store{
		Pool: db.Pool, Registry: registry, Log: slog.New(slog.DiscardHandler),
		Encode: func(c saga.Command) (outbox.Message, error) {
			r, err := ordersaga.Encode(c)
			return outbox.Message(r), err
		},
	}
}

func newDB(t *testing.T) *pgtest.Database {
	db := pgtest.New(t, migrations.Outbox, migrations.Orchestrator)
	published(t, db)
	return db
}

// published says that everything in the outbox, now and later, has left it: no relay runs in these tests.
func published(t *testing.T, db *pgtest.Database) {
	_, err := db.Pool.Exec(t.Context(), "update outbox_cursor set published = '{[1,1000000000)}'")
	require.NoError(t, err)
}

// message makes an event of the order flow into an event of the store.
func message(t *testing.T, m contracts.Message) store.Event {
	t.Helper()
	r, err := contracts.Encode(m)
	require.NoError(t, err)
	decoded, err := contracts.Decode(r.Topic, r.Payload, func(name string) string { return r.Headers[name] })
	require.NoError(t, err)
	return store.Event{Input: ordersaga.Message(decoded, r.Payload, "")}
}

func created(t *testing.T, id int64) store.Event {
	return message(t, contracts.OrderCreated{
		Envelope: contracts.NewEnvelope(id, uuid.Nil, start), UserID: "u1", SKU: "burger", Quantity: 2,
	})
}

// apply applies events in one transaction and returns the commands it led to.
func apply(t *testing.T, s *store.Store, now time.Time, events ...store.Event) []outbox.Message {
	t.Helper()
	var out []outbox.Message
	require.NoError(t, pgx.BeginFunc(t.Context(), s.Pool, func(tx pgx.Tx) (err error) {
		out, err = applyIn(t.Context(), s, tx, events, now)
		return err
	}))
	return out
}

// applyIn applies events inside tx, as the consumer does.
func applyIn(ctx context.Context, s *store.Store, tx pgx.Tx, events []store.Event, now time.Time) ([]outbox.Message, error) {
	var reads, writes pgx.Batch
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.Input.(saga.Message).Key
	}
	loaded := s.Load(&reads, ids)
	if err := tx.SendBatch(ctx, &reads).Close(); err != nil {
		return nil, err
	}
	decided, err := s.Decide(&writes, loaded, events, now, nil)
	if err != nil {
		return nil, err
	}
	return decided.Messages, tx.SendBatch(ctx, &writes).Close()
}

func TestABatchHoldsManySagasAndSeveralMessagesOfOne(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDB(t))
	var events []store.Event
	for id := range int64(50) {
		events = append(events, created(t, id+1))
	}
	// The same batch brings the answer for order 1: what the first message made
	// of the saga is what the second finds.
	events = append(events, message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, uuid.Nil, start), Reserved: true}))
	out := apply(t, s, start, events...)
	require.Len(t, out, 51)
	require.Equal(t, "ConfirmOrder", out[50].Type)

	state, lines, err := s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, 2, state.Revision)
	require.Len(t, lines, 2)
	require.Equal(t, "InventoryReserved", lines[1].CauseType)
	require.Equal(t, out[50].EventID, lines[1].Commands[0].ID)

	apply(t, s, start.Add(time.Second), message(t, contracts.OrderConfirmed{Envelope: contracts.NewEnvelope(1, out[50].EventID, start)}))
	state, lines, err = s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, saga.Completed, state.Phase)
	require.InDelta(t, 1000, lines[2].AfterMS, 0.001)
}

func TestAStoredSagaIsLoadedAsItWas(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDB(t))
	event := created(t, 7)
	started := event.Input.(saga.Message)
	started.Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	event.Input = started
	want, err := s.Registry.Apply(saga.State{}, event.Input, start)
	require.NoError(t, err)
	apply(t, s, start, event)
	got, _, err := s.Get(t.Context(), saga.Ref{ID: "7"})
	require.NoError(t, err)
	require.JSONEq(t, string(want[0].State.Data), string(got.Data))
	got.Data = want[0].State.Data
	require.Equal(t, want[0].State, got)
}

func TestDeadlinesActOnceHoweverManyPoll(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDB(t))
	var events []store.Event
	for id := range int64(40) {
		events = append(events, created(t, id+1))
	}
	apply(t, s, start, events...)
	late := start.Add(time.Minute)
	results := make(chan int, 4)
	for range 4 {
		go func() {
			n, err := s.ApplyDue(t.Context(), late, store.ReadAll(), 15)
			if err != nil {
				n = -1000
			}
			results <- n
		}()
	}
	total := 0
	for range 4 {
		total += <-results
	}
	rest, err := s.ApplyDue(t.Context(), late, store.ReadAll(), 100)
	require.NoError(t, err)
	require.Equal(t, 40, total+rest)
	var commands int
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select count(*) from outbox where type = 'ReserveInventory'").Scan(&commands))
	require.Equal(t, 40, commands, "each saga asked again once")
}

func TestASagaWhoseDefinitionIsGoneIsSuspendedAndGoesOnWhenItIsBack(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	s := newStore(t, db)
	out := apply(t, s, start, created(t, 1))
	other := saga.Define[struct{}]("other", 1)
	other.StartOn("OtherStarted", saga.From(func(struct{}) struct{} { return struct{}{} }))
	other.Step("given").AlreadyDone("done").Undo("Undo", func(saga.Call[struct{}]) (any, error) { return nil, nil }, "Undid",
		saga.RetryPolicy{Timeout: time.Second, MaxAttempts: 1})
	def, err := other.Build()
	require.NoError(t, err)
	without := newStore(t, db, def)

	require.Empty(t, apply(t, without, start, message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, out[0].EventID, start), Reserved: true})))
	stuck := func() []store.Summary {
		list, err := without.List(t.Context(), store.Filter{Stuck: true, Limit: 10}, start)
		require.NoError(t, err)
		return list
	}
	require.Empty(t, stuck(), "somebody else may know it")
	n, err := without.ApplyDue(t.Context(), start.Add(time.Minute), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Len(t, stuck(), 1)
	require.Equal(t, "SUSPENDED", stuck()[0].State)
	require.Contains(t, stuck()[0].Trouble, "version 1 of order is not registered")

	n, err = s.ApplyDue(t.Context(), start.Add(time.Minute), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	state, lines, err := s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, saga.Running, state.Phase)
	require.Equal(t, saga.Done, state.Steps[1].Status, "the held reply was applied")
	require.Len(t, lines, 5)
}

func TestListPagesNewestFirstAndFilters(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDB(t))
	for id := range int64(5) {
		apply(t, s, start.Add(time.Duration(id)*time.Second), created(t, id+1))
	}
	ids := func(f store.Filter) []string {
		list, err := s.List(t.Context(), f, start.Add(17*time.Second))
		require.NoError(t, err)
		var ids []string
		for _, l := range list {
			ids = append(ids, l.ID)
		}
		return ids
	}
	require.Equal(t, []string{"5", "4"}, ids(store.Filter{Limit: 2}))
	require.Equal(t, []string{"3", "2"}, ids(store.Filter{Limit: 2, After: store.Cursor{StartedAt: start.Add(3 * time.Second), ID: "4", Definition: "order"}}))
	require.Equal(t, []string{"5"}, ids(store.Filter{Limit: 1, State: "RUNNING", SKU: "burger", Definition: "order"}))
	require.Empty(t, ids(store.Filter{Limit: 9, SKU: "salad"}))
	require.Empty(t, ids(store.Filter{Limit: 9, Stuck: true}))
	require.Equal(t, []string{"2", "1"}, ids(store.Filter{Limit: 9, OlderThan: 15 * time.Second}))
	require.NotEmpty(t, ids(store.Filter{Limit: 9, Overdue: true}))
	_, _, err := s.Get(t.Context(), saga.Ref{ID: strconv.Itoa(99)})
	require.ErrorIs(t, err, store.ErrNotFound)
}
