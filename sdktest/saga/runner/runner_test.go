package runner_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

func TestABatchHoldsManySagasAndSeveralMessagesOfOne(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	var events []event
	for id := range int64(50) {
		events = append(events, created(t, id+1))
	}
	// The same batch brings the answer for order 1: what the first message made of the saga is what
	// the second finds.
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
	s := newSagas(t, newDB(t))
	e := created(t, 7)
	e.Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	want, err := s.Runner.Registry().Apply(saga.State{}, e.Message, start)
	require.NoError(t, err)
	apply(t, s, start, e)
	got, _, err := s.Get(t.Context(), saga.Ref{ID: "7"})
	require.NoError(t, err)
	require.JSONEq(t, string(want[0].State.Data), string(got.Data))
	got.Data = want[0].State.Data
	require.Equal(t, want[0].State, got)
}

func TestDeadlinesActOnceHoweverManyPoll(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	var events []event
	for id := range int64(40) {
		events = append(events, created(t, id+1))
	}
	apply(t, s, start, events...)
	late := start.Add(time.Minute)
	results := make(chan int, 4)
	for range 4 {
		go func() {
			n, err := s.due(t.Context(), late, store.ReadAll(), 15)
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
	rest, err := s.due(t.Context(), late, store.ReadAll(), 100)
	require.NoError(t, err)
	require.Equal(t, 40, total+rest)
	var commands int
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select count(*) from outbox where type = 'ReserveInventory'").Scan(&commands))
	require.Equal(t, 80, commands, "each saga sent its command, and once again")
}

func TestASagaWhoseDefinitionIsGoneIsSuspendedAndGoesOnWhenItIsBack(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	s := newSagas(t, db)
	out := apply(t, s, start, created(t, 1))
	other := saga.Define[struct{}]("other", 1)
	other.To("t")
	other.StartOn("OtherStarted", saga.From(func(struct{}) struct{} { return struct{}{} }))
	other.Step("given").AlreadyDone("done").Undo("Undo", func(saga.Call[struct{}]) (any, error) { return nil, nil }, "Undid",
		saga.RetryPolicy{Timeout: time.Second, MaxAttempts: 1})
	def, err := other.Build()
	require.NoError(t, err)
	without := newSagas(t, db, def)

	require.Empty(t, apply(t, without, start, message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, out[0].EventID, start), Reserved: true})))
	stuck := func() []inspect.Summary {
		list, err := without.List(t.Context(), inspect.Filter{Stuck: true, Limit: 10}, start)
		require.NoError(t, err)
		return list
	}
	require.Empty(t, stuck(), "another process may know it")
	n, err := without.due(t.Context(), start.Add(time.Minute), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Len(t, stuck(), 1)
	require.Equal(t, "SUSPENDED", stuck()[0].State)
	require.Contains(t, stuck()[0].Trouble, "version 1 of order is not registered")

	n, err = s.due(t.Context(), start.Add(time.Minute), store.ReadAll(), 10)
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
	s := newSagas(t, newDB(t))
	for id := range int64(5) {
		apply(t, s, start.Add(time.Duration(id)*time.Second), created(t, id+1))
	}
	ids := func(f inspect.Filter) []string {
		list, err := s.List(t.Context(), f, start.Add(17*time.Second))
		require.NoError(t, err)
		var ids []string
		for _, l := range list {
			ids = append(ids, l.ID)
		}
		return ids
	}
	require.Equal(t, []string{"5", "4"}, ids(inspect.Filter{Limit: 2}))
	require.Equal(t, []string{"3", "2"}, ids(inspect.Filter{Limit: 2, After: inspect.Cursor{StartedAt: start.Add(3 * time.Second), ID: "4", Definition: "order"}}))
	require.Equal(t, []string{"5"}, ids(inspect.Filter{Limit: 1, State: "RUNNING", Attributes: map[string]string{"sku": "burger"}, Definition: "order"}))
	require.Empty(t, ids(inspect.Filter{Limit: 9, Attributes: map[string]string{"sku": "salad"}}))
	require.Empty(t, ids(inspect.Filter{Limit: 9, Stuck: true}))
	require.Equal(t, []string{"2", "1"}, ids(inspect.Filter{Limit: 9, OlderThan: 15 * time.Second}))
	require.NotEmpty(t, ids(inspect.Filter{Limit: 9, Overdue: true}))
	_, _, err := s.Get(t.Context(), saga.Ref{ID: strconv.Itoa(99)})
	require.ErrorIs(t, err, store.ErrNotFound)
}
