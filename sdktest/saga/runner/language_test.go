package runner_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

// leave is a request for a day off: approved by somebody, entered after a while, in a day.
type leave struct {
	Who   string `json:"who"`
	Taken bool   `json:"taken"`
}

func leaves(t *testing.T, name, start string) *saga.Definition {
	t.Helper()
	body := func(c saga.Call[leave]) (any, error) { return c.Data, nil }
	s := saga.Define[leave](name, 1)
	s.To("leaves.commands")
	s.StartOn(start, saga.From(func(l leave) leave { return l }))
	s.Within(24*time.Hour, "nobody cared")
	saga.Attribute(s, "who", func(l leave) string { return l.Who })
	saga.Attribute(s, "taken", func(l leave) bool { return l.Taken })
	s.Step("approval").AwaitKeeping("LeaveApproved", func(l *leave, _ saga.Message) error { l.Taken = true; return nil }).
		Failure("LeaveDeclined", nil).Within(time.Hour, "nobody approved it").NoUndo("nothing was done")
	s.Step("reflection").After(time.Minute)
	s.Step("entry").Tell("EnterLeave", body).NoUndo("the calendar is corrected by hand")
	def, err := s.Build()
	require.NoError(t, err)
	return def
}

func asked(start, key, who string) event {
	e := happened(start, key, uuid.Nil)
	e.Data = []byte(`{"who":"` + who + `"}`)
	return e
}

// What a saga waits for without having asked for it is in the database, and survives a restart.
func TestRunner_KeepsEventsTimesAndTheDeadlineOfTheWhole(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	s := newSagas(t, db, leaves(t, "leave", "LeaveAsked"))
	apply(t, s, start, asked("LeaveAsked", "1", "ann"), asked("LeaveAsked", "2", "bob"))
	state, _, err := s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, start.Add(24*time.Hour), state.CompleteBy)

	apply(t, s, start.Add(time.Second), happened("LeaveApproved", "1", uuid.New()))
	s = newSagas(t, db, leaves(t, "leave", "LeaveAsked"))
	n, err := s.due(t.Context(), start.Add(59*time.Second), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = s.due(t.Context(), start.Add(2*time.Minute), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	state, _, err = s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, saga.Completed, state.Phase)

	_, err = s.due(t.Context(), start.Add(time.Hour), store.ReadAll(), 10)
	require.NoError(t, err)
	state, _, err = s.Get(t.Context(), saga.Ref{ID: "2"})
	require.NoError(t, err)
	require.Equal(t, saga.Cancelled, state.Phase)
	require.Equal(t, "nobody approved it", state.Reason)
}

func TestDeliverEvent_AppliesAnEventOnceToEverySagaThatAwaitsIt(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t), leaves(t, "leave", "LeaveAsked"), leaves(t, "record", "LeaveRecorded"))
	s.moveTo(start)
	approval := happened("LeaveApproved", "1", uuid.Nil).Message
	_, err := s.DeliverEvent(t.Context(), approval)
	require.ErrorIs(t, err, saga.ErrUnknownSaga)
	apply(t, s, start, asked("LeaveAsked", "1", "ann"), asked("LeaveRecorded", "1", "ann"))
	for _, fresh := range []bool{true, false} {
		applied, err := s.DeliverEvent(t.Context(), approval)
		require.NoError(t, err)
		require.Equal(t, fresh, applied)
	}
	apply(t, s, start, event{Message: approval}) // the same over Kafka
	for _, definition := range []string{"leave", "record"} {
		state, lines, err := s.Get(t.Context(), saga.Ref{Definition: definition, ID: "1"})
		require.NoError(t, err)
		require.Equal(t, 1, state.Stage)
		require.Len(t, lines, 2)
	}
	_, err = s.DeliverEvent(t.Context(), happened("LeaveAsked", "2", uuid.Nil).Message)
	require.ErrorIs(t, err, runner.ErrNotAwaited)
}

func TestList_ByAttributesThatFollowTheDataAndGoWithTheSaga(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	s := newSagas(t, db, leaves(t, "leave", "LeaveAsked"))
	apply(t, s, start, asked("LeaveAsked", "1", "ann"), asked("LeaveAsked", "2", "bob"), asked("LeaveAsked", "3", "ann"))
	ids := func(attributes map[string]string) (ids []string) {
		list, err := s.List(t.Context(), inspect.Filter{Attributes: attributes, Limit: 10}, start)
		require.NoError(t, err)
		for _, one := range list {
			require.Contains(t, one.Attributes, "who")
			ids = append(ids, one.ID)
		}
		return ids
	}
	require.Equal(t, []string{"3", "1"}, ids(map[string]string{"who": "ann"}))
	require.Empty(t, ids(map[string]string{"who": "ann", "taken": "true"}))
	apply(t, s, start, happened("LeaveApproved", "3", uuid.Nil))
	require.Equal(t, []string{"3"}, ids(map[string]string{"who": "ann", "taken": "true"}))
	require.Equal(t, []string{"1"}, ids(map[string]string{"who": "ann", "taken": "false"}))

	apply(t, s, start, happened("LeaveDeclined", "1", uuid.Nil))
	_, err := s.Store.Expire(t.Context(), start.Add(time.Hour), 10)
	require.NoError(t, err)
	var left int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from saga_attributes where saga_id = '1'").Scan(&left))
	require.Zero(t, left)
}

// An event can be read before the message that begins its saga: they come on different topics.
func TestProcess_AnEventThatOvertakesItsSagaIsADeadLetter(t *testing.T) {
	t.Parallel()
	s := newSagas(t, newDB(t), leaves(t, "leave", "LeaveAsked"))
	out := apply(t, s, start, happened("LeaveApproved", "1", uuid.Nil))
	require.Len(t, out, 1)
	require.Equal(t, "t.dlq", out[0].Topic)
	require.ErrorIs(t, s.rejected[0], saga.ErrUnknownSaga)
	require.Empty(t, s.unknown)
}
