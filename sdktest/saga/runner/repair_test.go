package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

func by() saga.Operator { return saga.Operator{ID: uuid.New(), Actor: "ann", Reason: "ticket 7"} }

func orderRef(id string) saga.Ref { return saga.Ref{Definition: "order", ID: id} }

func TestIntervene_SaysWhatCameOfIt(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	apply(t, s, start, created(t, 1))
	does := func(ref saga.Ref, in saga.Intervention) runner.Outcome {
		o, err := s.Intervene(t.Context(), runner.Intervention{Saga: ref, Do: in})
		require.NoError(t, err)
		return o
	}
	seen := by()
	seen.Seen = 1
	o := does(orderRef("1"), saga.RetryNow{Operator: seen})
	require.Equal(t, runner.Done, o.Result)
	require.Equal(t, []int{1, 2}, []int{o.Before.Revision, o.After.Revision})
	require.Equal(t, seen.ID, o.Transitions[0].Cause.ID)
	require.Len(t, o.Transitions[0].Commands, 1)

	o = does(orderRef("1"), saga.RetryNow{Operator: seen})
	require.Equal(t, runner.Refused, o.Result)
	require.ErrorIs(t, o.Err, saga.ErrMoved)
	require.Equal(t, "the saga has changed since: revision 1 was seen, it is 2 now", o.Because)
	require.Equal(t, o.Before, o.After)

	require.Equal(t, runner.Done, does(orderRef("1"), saga.Cancel{Operator: by()}).Result)
	o = does(orderRef("1"), saga.Cancel{Operator: by()})
	require.Equal(t, runner.NoEffect, o.Result)
	require.Contains(t, o.Because, "the saga is being undone")

	o = does(orderRef("2"), saga.Cancel{Operator: by()})
	require.Equal(t, runner.Refused, o.Result)
	require.ErrorIs(t, o.Err, store.ErrNotFound)

	_, lines, err := s.Get(t.Context(), orderRef("1"))
	require.NoError(t, err)
	require.Len(t, lines, 3, "what had no effect, or was refused, is no transition")
	require.Equal(t, "ticket 7", lines[1].Note)
}

func TestIntervene_TheAuditSharesTheTransaction(t *testing.T) {
	t.Parallel()
	var acts []runner.Act
	var fail error
	s, err := trySagas(t, newDB(t), func(c *runner.Config) {
		c.Audit = func(_ context.Context, _ pgx.Tx, act runner.Act) error {
			acts = append(acts, act)
			return fail
		}
	})
	require.NoError(t, err)
	apply(t, s, start, created(t, 1))
	_, err = s.Intervene(t.Context(), runner.Intervention{Saga: saga.Ref{ID: "1"}, Do: saga.SkipWait{Operator: by()}})
	require.NoError(t, err)
	require.Equal(t, saga.ActSkipWait, acts[0].Action)
	require.Equal(t, orderRef("1"), acts[0].Saga)
	require.Equal(t, []int{1, 2}, []int{acts[0].Before.Revision, acts[0].After.Revision})

	fail = errors.New("the log is full")
	_, err = s.Intervene(t.Context(), runner.Intervention{Saga: orderRef("1"), Do: saga.SkipWait{Operator: by()}})
	require.ErrorIs(t, err, fail)
	state, _, err := s.Get(t.Context(), orderRef("1"))
	require.NoError(t, err)
	require.Equal(t, 2, state.Revision)
	_, err = s.SuspendDefinition(t.Context(), "order", 1, by())
	require.ErrorIs(t, err, fail)
	apply(t, s, start, created(t, 2))
	state, _, err = s.Get(t.Context(), orderRef("2"))
	require.NoError(t, err)
	require.Equal(t, saga.Running, state.Phase)
}

// What was changed in the data is what commands are made of.
func TestIntervene_EditedDataIsStored(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	apply(t, s, start, created(t, 1))
	edit := func(patch string) error {
		return s.intervene(t.Context(), orderRef("1"), saga.EditData{Operator: by(), Patch: []byte(patch)}, start)
	}
	require.NoError(t, edit(`{"quantity":3}`))
	state, lines, err := s.Get(t.Context(), orderRef("1"))
	require.NoError(t, err)
	var data struct{ Quantity int }
	require.NoError(t, json.Unmarshal(state.Data, &data))
	require.Equal(t, 3, data.Quantity)
	require.Equal(t, "/quantity: 2 → 3: ticket 7", lines[1].Note)
	require.ErrorIs(t, edit(`{"amount":3}`), saga.ErrBadData)
}

func kinds(lines []inspect.Line) []string {
	var all []string
	for _, l := range lines {
		all = append(all, l.Kind)
	}
	return all
}

func TestSuspend_IsStoredAndNobodyTakesItsDeadline(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	commands := apply(t, s, start, created(t, 1))
	require.NoError(t, s.intervene(t.Context(), orderRef("1"), saga.Suspend{Operator: by()}, start.Add(time.Second)))
	later := start.Add(100 * time.Hour)
	n, err := s.due(t.Context(), later, store.ReadAll(), 10)
	require.NoError(t, err)
	require.Zero(t, n)
	woken, err := s.Store.WakeSuspended(t.Context())
	require.NoError(t, err)
	require.Zero(t, woken)
	deadlines, err := s.Deadlines(t.Context(), later.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Empty(t, deadlines)
	require.Empty(t, apply(t, s, later, message(t, contracts.InventoryReserved{
		Envelope: contracts.NewEnvelope(1, commands[0].EventID, later), Reserved: true,
	})))
	state, _, err := s.Get(t.Context(), orderRef("1"))
	require.NoError(t, err)
	require.Equal(t, saga.Suspended, state.Phase)
	require.Equal(t, "ann", state.SuspendedBy)
	require.Len(t, state.Held, 1)

	require.NoError(t, s.intervene(t.Context(), orderRef("1"), saga.Resume{Operator: by()}, later))
	state, lines, err := s.Get(t.Context(), orderRef("1"))
	require.NoError(t, err)
	require.Equal(t, saga.Running, state.Phase)
	require.Equal(t, []string{"started", "intervened", "held", "resumed", "replied"}, kinds(lines))
	require.Equal(t, saga.Waiting, state.Steps[2].Status)
}

func TestSuspendDefinition_HoldsNewSagasAndOldInEveryProcess(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	s, other := newSagas(t, db), newSagas(t, db)
	apply(t, s, start, created(t, 1))
	suspend := func(version int) runner.Outcome {
		o, err := s.SuspendDefinition(t.Context(), "order", version, by())
		require.NoError(t, err)
		return o
	}
	stands := func(id string) saga.State {
		state, _, err := s.Get(t.Context(), orderRef(id))
		require.NoError(t, err)
		return state
	}
	require.Equal(t, runner.Done, suspend(1).Result)
	require.Equal(t, runner.NoEffect, suspend(1).Result)
	require.ErrorIs(t, suspend(9).Err, store.ErrNotFound)

	running, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = other.Run(running) }()
	require.Eventually(t, func() bool { return len(other.Runner.Registry().Suspensions()) == 1 }, time.Minute, 20*time.Millisecond)
	stop()
	<-done
	require.Empty(t, apply(t, other, start, created(t, 2)))
	require.Equal(t, saga.Suspended, stands("2").Phase)

	later := start.Add(time.Hour)
	_, err := s.due(t.Context(), later, store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, saga.Suspended, stands("1").Phase, "overdue for a minute it shows")
	require.Len(t, stands("1").Steps[1].Sent, 1)

	o, err := s.ResumeDefinition(t.Context(), "order", 1, by())
	require.NoError(t, err)
	require.Equal(t, runner.Done, o.Result)
	n, err := s.due(t.Context(), later.Add(time.Second), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	for _, id := range []string{"1", "2"} {
		require.Equal(t, saga.Running, stands(id).Phase)
		require.Len(t, stands(id).Steps[1].Sent, 1, "asked once: the time did not count")
	}
}

// What a preview says would be sent is what is sent, and nothing of it is written before.
func TestPreview_IsWhatThenHappens(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t))
	apply(t, s, start, created(t, 1), created(t, 2))
	for id, in := range map[string]saga.Request{
		"1": {Action: saga.ActCancel},
		"2": {Action: saga.ActResolve, Step: "reserve", As: saga.Done},
	} {
		do, err := in.For(by())
		require.NoError(t, err)
		asked := runner.Intervention{Saga: orderRef(id), Do: do}
		p, err := s.Preview(t.Context(), asked, 2)
		require.NoError(t, err)
		require.Equal(t, runner.Done, p.Result)
		require.NotEmpty(t, p.Then)
		before, _, err := s.Get(t.Context(), orderRef(id))
		require.NoError(t, err)
		require.Equal(t, 1, before.Revision)

		var last int64
		require.NoError(t, s.Pool.QueryRow(t.Context(), "select max(id) from outbox").Scan(&last))
		o, err := s.Intervene(t.Context(), asked)
		require.NoError(t, err)
		require.Equal(t, p.Transitions, o.Transitions)
		require.Equal(t, p.After, o.After)
		rows, err := s.Pool.Query(t.Context(), "select event_id, topic, key, type, payload from outbox where id > $1 order by id", last)
		require.NoError(t, err)
		sent, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (m outbox.Message, err error) {
			return m, r.Scan(&m.EventID, &m.Topic, &m.Key, &m.Type, &m.Payload)
		})
		require.NoError(t, err)
		require.Len(t, sent, len(p.Messages))
		for i, m := range sent {
			want := p.Messages[i]
			require.Equal(t, []any{want.EventID, want.Topic, want.Key, want.Type}, []any{m.EventID, m.Topic, m.Key, m.Type})
			require.JSONEq(t, string(want.Payload), string(m.Payload))
		}
	}
	p, err := s.Preview(t.Context(), runner.Intervention{Saga: orderRef("1"), Do: saga.Resume{Operator: by()}}, 2)
	require.NoError(t, err)
	require.Equal(t, runner.NoEffect, p.Result)
}
