package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

var errNoTopic = errors.New("no such topic")

func reserved(t *testing.T, id int64, cause uuid.UUID) event {
	return message(t, contracts.InventoryReserved{Envelope: contracts.NewEnvelope(id, cause, start), Reserved: true})
}

func cancelRequested(t *testing.T, id int64, at time.Time) event {
	return message(t, contracts.OrderCancelRequested{Envelope: contracts.NewEnvelope(id, uuid.Nil, at)})
}

// orderDefinition is the order saga's current version.
func orderDefinition(t *testing.T) *saga.Definition {
	def, err := ordersaga.Definition(ordersaga.DefaultTiming())
	require.NoError(t, err)
	return def
}

// refund is another saga for the same keys.
func refund(t *testing.T, version int, steps ...string) *saga.Definition {
	s := saga.Define[struct{}]("refund", version)
	s.To("t")
	s.StartOn("RefundAsked", saga.From(func(struct{}) struct{} { return struct{}{} }))
	for _, name := range append([]string{"pay"}, steps...) {
		s.Step(name).Send("Do-"+name, func(saga.Call[struct{}]) (any, error) { return nil, nil }).Success("Done-"+name).
			Wait(saga.RetryPolicy{Timeout: time.Second, MaxAttempts: 2}, "silent").NoUndo("x")
	}
	def, err := s.Build()
	require.NoError(t, err)
	return def
}

func happened(messageType, key string, cause uuid.UUID) event {
	return event{Message: saga.Message{ID: uuid.New(), Type: messageType, Key: key, CausationID: cause, Data: json.RawMessage("{}")}}
}

func TestRunner_TwoDefinitionsHaveASagaOfOneID(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t), orderDefinition(t), refund(t, 1))
	s.codec.encode = plain
	out := apply(t, s, start, created(t, 17), happened("RefundAsked", "17", uuid.Nil))
	require.Len(t, out, 2)
	out = apply(t, s, start, happened("Done-pay", "17", out[1].EventID), reserved(t, 17, out[0].EventID))
	require.Len(t, out, 1)
	require.Equal(t, "ConfirmOrder", out[0].Type)

	_, _, err := s.Get(t.Context(), saga.Ref{ID: "17"})
	require.ErrorIs(t, err, store.ErrSeveral)
	require.ErrorContains(t, err, "order, refund")
	for name, phase := range map[string]saga.Phase{"order": saga.Running, "refund": saga.Completed} {
		state, lines, err := s.Get(t.Context(), saga.Ref{Definition: name, ID: "17"})
		require.NoError(t, err)
		require.Equal(t, phase, state.Phase)
		require.Len(t, lines, 2)
	}
	by := saga.Operator{ID: uuid.New(), Actor: "ann", Reason: "why not"}
	require.ErrorIs(t, s.intervene(t.Context(), saga.Ref{ID: "17"}, saga.Cancel{Operator: by}, start), store.ErrSeveral)
	require.NoError(t, s.intervene(t.Context(), saga.Ref{Definition: "order", ID: "17"}, saga.RetryNow{Operator: by}, start))
	n, err := s.Store.Expire(t.Context(), start.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	revision, err := s.Revision(t.Context(), saga.Ref{ID: "17"})
	require.NoError(t, err)
	require.Equal(t, 3, revision)
}

func TestRunner_ACancellationOfAnExpiredSagaIsNoCancelledSaga(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	confirm(t, s, 1, start)
	_, err := s.Store.Expire(t.Context(), start.Add(time.Hour), 10)
	require.NoError(t, err)
	later := start.Add(2 * time.Hour)
	for range 3 {
		apply(t, s, later, cancelRequested(t, 1, later))
	}
	state, lines, err := s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, saga.AwaitingStart, state.Phase)
	require.Len(t, lines, 1)
	n, err := s.due(t.Context(), later.Add(time.Minute), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	state, _, err = s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, saga.NotStarted, state.Phase)
	var payload []byte
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select payload from outbox where type = 'RefuseCancel'").Scan(&payload))
	require.Contains(t, string(payload), `"orderId":1`)
	require.Contains(t, string(payload), "nothing to cancel")
	n, err = s.Store.Expire(t.Context(), later.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestProcess_AStartByAnotherMessageIsAConflict(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	first := created(t, 1)
	apply(t, s, start, first)
	apply(t, s, start, first)
	out := apply(t, s, start, created(t, 1))
	require.Len(t, out, 1)
	require.Equal(t, "t.dlq", out[0].Topic)
	require.Len(t, s.rejected, 1)
	require.ErrorIs(t, s.rejected[0], saga.ErrStartConflict)
}

func TestIntervene_OnWhatHasMovedOnIsRefused(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	out := apply(t, s, start, created(t, 1))
	ref := saga.Ref{ID: "1"}
	seen, err := s.Revision(t.Context(), ref)
	require.NoError(t, err)
	apply(t, s, start, reserved(t, 1, out[0].EventID))
	by := saga.Operator{ID: uuid.New(), Actor: "ann", Reason: "settled by hand", Seen: seen}
	require.ErrorIs(t, s.intervene(t.Context(), ref, saga.Force{Operator: by, End: "CANCELLED"}, start), saga.ErrMoved)
	by.Seen++
	require.NoError(t, s.intervene(t.Context(), ref, saga.Force{Operator: by, End: "CANCELLED"}, start))
	var types []string
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select array_agg(type order by id) from outbox where id > 2").Scan(&types))
	require.Equal(t, []string{"ReleaseInventory", "CancelOrder"}, types, "the order is not left as it was")
}

// A command that waits in our own outbox, because the relay is paused or its topic is missing, has
// not reached its participant: no attempt is spent on it.
func TestApplyDue_ACommandThatHasNotLeftTheOutboxUsesUpNothing(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	s := newSagas(t, db)
	sql := func(statement string) {
		_, err := db.Pool.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	sql("update outbox_cursor set published = '{}'")
	apply(t, s, start, created(t, 1))
	now := start
	for range 20 {
		now = now.Add(time.Minute)
		n, err := s.due(t.Context(), now, store.ReadAll(), 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = s.due(t.Context(), now, store.ReadAll(), 10)
		require.NoError(t, err)
		require.Zero(t, n, "it is looked at again later, not at once")
	}
	stuck, err := s.List(t.Context(), inspect.Filter{Stuck: true, Limit: 10}, now)
	require.NoError(t, err)
	require.Len(t, stuck, 1)
	require.Contains(t, stuck[0].Trouble, "has not left this database's outbox")
	state, lines, err := s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, 1, state.Steps[1].Attempt)
	require.Len(t, lines, 1)

	published(t, db)
	now = now.Add(time.Minute)
	_, err = s.due(t.Context(), now, store.ReadAll(), 10)
	require.NoError(t, err)
	state, lines, err = s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, 1, state.Steps[1].Attempt)
	require.Equal(t, "postponed", lines[1].Kind)
	due, _ := state.Deadline()
	require.InDelta(t, 15, due.Sub(now).Seconds(), 2, "the wait begins when the command has left")
	stuck, err = s.List(t.Context(), inspect.Filter{Stuck: true, Limit: 10}, now)
	require.NoError(t, err)
	require.Empty(t, stuck)
}

func TestApplyDue_FollowsTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	s, err := trySagas(t, newDB(t), func(c *runner.Config) { c.Now = nil }, refund(t, 1))
	require.NoError(t, err)
	apply(t, s, start, happened("RefundAsked", "1", uuid.Nil), happened("RefundAsked", "2", uuid.Nil))
	_, err = s.Pool.Exec(t.Context(), `
update sagas set steps = jsonb_set(steps::jsonb, '{0,deadline}', to_jsonb(now() - interval '1 hour')),
                 deadline = now() - interval '1 hour', wake_at = now() - interval '1 hour' where id = '1'`)
	require.NoError(t, err)
	_, err = s.Pool.Exec(t.Context(), `update sagas set deadline = now() + interval '1 hour' where id = '2'`)
	require.NoError(t, err)
	n, err := s.ApplyDue(t.Context(), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.WithinDuration(t, time.Now(), s.Now(), time.Minute)
}

func TestApplyDue_ADeadlineThatCannotBeActedOnShowsAsTrouble(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	apply(t, s, start, created(t, 1))
	s.codec.encode = func(saga.Ref, saga.Command) (outbox.Message, error) { return outbox.Message{}, errNoTopic }
	_, err := s.due(t.Context(), start.Add(time.Minute), store.ReadAll(), 10)
	require.NoError(t, err)
	list, err := s.List(t.Context(), inspect.Filter{Stuck: true, Limit: 10}, start)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Contains(t, list[0].Trouble, errNoTopic.Error())
	open, err := s.Store.Open(t.Context(), start)
	require.NoError(t, err)
	require.EqualValues(t, 1, open[0].Stuck)
}

func TestNew_RefusesADefinitionThatWasChangedUnderItsNumber(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	newSagas(t, db, refund(t, 1))
	newSagas(t, db, refund(t, 1), refund(t, 2, "card"))
	newSagas(t, db, refund(t, 1)) // a version can be left out
	_, err := trySagas(t, db, nil, refund(t, 1, "letter"))
	require.ErrorIs(t, err, store.ErrDefinitionChanged)
	require.ErrorContains(t, err, "refund version 1 is not what it was")
	require.ErrorContains(t, err, "make this one version 3 beside it")
}

func TestVersions_SaysWhichCanBeRemoved(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	s := newSagas(t, db, refund(t, 1), refund(t, 2, "card"), refund(t, 3, "letter"))
	s.codec.encode = plain
	out := apply(t, s, start, happened("RefundAsked", "1", uuid.Nil))
	apply(t, s, start, happened("RefundAsked", "2", uuid.Nil))
	older := newSagas(t, db, refund(t, 2, "card"))
	older.codec.encode = plain
	apply(t, older, start, happened("RefundAsked", "3", uuid.Nil))
	require.Len(t, out, 1)
	list, err := older.Versions(t.Context())
	require.NoError(t, err)
	require.Equal(t, []inspect.VersionUse{
		{Definition: "refund", Version: 1, Removable: true},
		{Definition: "refund", Version: 2, Registered: true, Open: 1},
		{Definition: "refund", Version: 3, Open: 2},
	}, list)
}

// The orchestrators of a deployment: the older one meets a reply to a saga of the newer one's
// version, and the newer one goes on with it at once.
func TestRunner_ARollingDeploymentSuspendsNothing(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	older, newer := newSagas(t, db, refund(t, 1)), newSagas(t, db, refund(t, 1), refund(t, 2, "card"))
	older.codec.encode, newer.codec.encode = plain, plain
	out := apply(t, newer, start, happened("RefundAsked", "1", uuid.Nil))
	for i, reply := range []string{"Done-pay", "Done-card"} {
		require.Empty(t, apply(t, older, start, happened(reply, "1", out[0].EventID)))
		n, err := older.due(t.Context(), start, store.ReadAll(), 10)
		require.NoError(t, err)
		require.Zero(t, n, "it is for who knows the version")
		require.Empty(t, list(t, older, inspect.Filter{Stuck: true, Limit: 10}))
		n, err = newer.due(t.Context(), start, store.ReadAll(), 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		if i == 0 {
			var id uuid.UUID
			require.NoError(t, db.Pool.QueryRow(t.Context(), "select event_id from outbox where type = 'Do-card'").Scan(&id))
			out = []outbox.Message{{EventID: id}}
		}
	}
	state, _, err := newer.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, saga.Completed, state.Phase)

	// A late word for the ended saga is nothing that the older one can judge.
	apply(t, older, start, happened("Done-card", "1", out[0].EventID))
	_, err = newer.due(t.Context(), start, store.ReadAll(), 10)
	require.NoError(t, err)
	state, _, err = newer.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, saga.Completed, state.Phase)
	require.Equal(t, 1, state.Stale)
}

func list(t *testing.T, s *sagas, f inspect.Filter) []inspect.Summary {
	l, err := s.List(t.Context(), f, start)
	require.NoError(t, err)
	return l
}

// While a partition has not been read up to its deadlines, those of its sagas wait and the others
// act.
func TestApplyDue_WaitsUntilThePartitionHasBeenRead(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	a, b := created(t, 1), created(t, 2)
	b.Partition = 1
	apply(t, s, start, a, b)
	require.NoError(t, pgx.BeginFunc(t.Context(), s.Pool, func(tx pgx.Tx) error {
		return s.Start(t.Context(), tx, created(t, 3).Message) // of no partition
	}))
	late := start.Add(time.Minute)
	attempts := func(id string) int {
		state, _, err := s.Get(t.Context(), saga.Ref{ID: id})
		require.NoError(t, err)
		return state.Steps[1].Attempt
	}
	n, err := s.due(t.Context(), late, store.Read{}, 10)
	require.NoError(t, err)
	require.Zero(t, n, "nothing is known to have been read")
	n, err = s.due(t.Context(), late, store.Read{Partitions: map[int32]time.Time{0: late, 1: start}, All: start}, 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []int{2, 1, 1}, []int{attempts("1"), attempts("2"), attempts("3")})
	n, err = s.due(t.Context(), late, store.Read{All: late}, 10)
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

// Of two waits of one saga, only the one acts whose replies have been read.
func TestApplyDue_ActsOnlyOnWaitsWhoseRepliesHaveBeenRead(t *testing.T) {
	t.Parallel()
	wait := func(d time.Duration) saga.RetryPolicy {
		return saga.RetryPolicy{Timeout: d, MaxAttempts: 3, Jitter: -1}
	}
	def := saga.Define[struct{}]("two", 1)
	def.To("t")
	def.StartOn("Start", saga.From(func(struct{}) struct{} { return struct{}{} }))
	body := func(saga.Call[struct{}]) (any, error) { return nil, nil }
	def.Step("short").Send("DoShort", body).Success("DoneShort").Wait(wait(10*time.Second), "silent").NoUndo("x")
	def.Parallel("long").Send("DoLong", body).Success("DoneLong").Wait(wait(20*time.Second), "silent").NoUndo("x")
	two, err := def.Build()
	require.NoError(t, err)
	s := newSagas(t, newDB(t), two)
	s.codec.encode = plain
	apply(t, s, start, happened("Start", "1", uuid.Nil))
	_, err = s.due(t.Context(), start.Add(time.Minute), store.Read{All: start.Add(15 * time.Second)}, 10)
	require.NoError(t, err)
	state, _, err := s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, []int{2, 1}, []int{state.Steps[0].Attempt, state.Steps[1].Attempt})
}

// However many operators there are, the work has connections of its own.
func TestRunner_OperatorsDoNotTakeTheConnectionsOfTheWork(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	config := db.Pool.Config()
	config.MaxConns = 1
	operators, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(operators.Close)
	s, err := trySagas(t, db, func(c *runner.Config) { c.OperatorDB = operators }, refund(t, 1))
	require.NoError(t, err)
	conn, err := operators.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = s.intervene(ctx, saga.Ref{ID: "1"}, saga.Cancel{}, start)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Len(t, apply(t, s, start, happened("RefundAsked", "1", uuid.Nil)), 1)
	n, err := s.due(t.Context(), start.Add(time.Minute), store.ReadAll(), 1)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestProcess_AReplyForASagaThatDoesNotExistIsCounted(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	e := reserved(t, 1, uuid.New())
	require.Empty(t, apply(t, s, start, e))
	require.Len(t, s.unknown, 1)
	require.Equal(t, e.ID, s.unknown[0].ID)
	require.Empty(t, list(t, s, inspect.Filter{Limit: 10}))
}
