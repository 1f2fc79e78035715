package saga_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
)

// journey has a step that keeps what its reply says, one that waits for an approval, one that lets
// time pass, and one that is carried out only if the data says so.
type journey struct {
	Guest string `json:"guest"`
	Room  string `json:"room,omitempty"`
	Car   bool   `json:"car"`
	Days  int    `json:"days"`
}

func journeySaga(t testing.TB) *saga.Definition {
	t.Helper()
	s := saga.Define[journey]("trip", 1)
	s.StartOn("TripBooked", saga.From(func(t journey) journey { return t }))
	s.CancelOn("TripCancelRequested", time.Hour, nil)
	send := func(c saga.Call[journey]) (any, error) { return c.Data, nil }
	s.Step("room").Send("ReserveRoom", send).
		SuccessKeeping("RoomReserved", func(t *journey, m saga.Message) error {
			return json.Unmarshal(m.Data, &struct{ Room *string }{&t.Room})
		}).Success("RoomPromised").
		Failure("HotelFull", nil).Wait(twice, "the hotel did not answer").Undo("CancelRoom", send, "RoomCancelled", twice)
	s.Step("approval").Await("TripApproved").Failure("TripRefused", nil).Within(time.Hour, "not approved").NoUndo("a word")
	s.Step("car").If(func(t journey) bool { return t.Car }).Send("RentCar", send).Success("CarRented").
		Wait(twice, "no car").Undo("ReturnCar", send, "CarReturned", twice)
	s.Step("cool-off").After(time.Hour)
	s.Step("pay").Send("TakePayment", send).Success("PaymentTaken").Failure("PaymentDeclined", nil).
		Wait(twice, "no payment").NoUndo("refunded by hand")
	def, err := s.Build()
	require.NoError(t, err)
	return def
}

func bookedJourney(t *testing.T) *story {
	t.Helper()
	s := unbegun(t, journeySaga(t))
	require.Equal(t, "ReserveRoom", s.says("TripBooked", uuid.Nil, `{"guest":"ann","car":false,"days":2}`))
	return s
}

func TestResolve_AsDoneStandsInForTheReply(t *testing.T) {
	t.Parallel()
	s := bookedJourney(t)
	s.Refuses(saga.Resolve{Operator: operator, Step: "room", As: saga.Done}, saga.ErrBadData)
	s.Refuses(saga.Resolve{Operator: operator, Step: "room", As: saga.Done, Data: []byte(`{"Room":7}`)}, saga.ErrBadData)
	s.Refuses(saga.Resolve{Operator: operator, Step: "room", As: saga.Done, Data: []byte(`{"Room":"\u0000"}`)}, saga.ErrBadData)
	s.Refuses(saga.Resolve{Operator: operator, Step: "pay", As: saga.Done}, saga.ErrNotWaiting)
	s.Refuses(saga.Resolve{Operator: operator, Step: "rom", As: saga.Done}, saga.ErrNoStep)
	s.Refuses(saga.Resolve{Operator: operator, Step: "room", As: saga.Waiting}, saga.ErrCannotResolve)
	s.Refuses(saga.Resolve{Operator: operator, Step: "room", As: saga.Done, Reply: "RoomLost"}, saga.ErrCannotResolve)
	s.input(saga.Resolve{Operator: operator, Step: "room", As: saga.Done, Data: []byte(`{"Room":"12b"}`)})
	require.Equal(t, "resolved as done: "+operator.Reason, s.line().Note)
	require.Equal(t, "resolve", s.line().Cause.Type)
	require.JSONEq(t, `{"guest":"ann","room":"12b","car":false,"days":2}`, string(s.State().Data))
	require.Equal(t, "approval", s.Waits()[0].Step)
	require.Equal(t, saga.StaleReply, func() saga.Kind { s.answers("ReserveRoom", "RoomReserved"); return s.line().Kind }())

	other := bookedJourney(t)
	other.input(saga.Resolve{Operator: operator, Step: "room", As: saga.Done, Reply: "RoomPromised"})
	require.Equal(t, "approval", other.Waits()[0].Step, "a reply that brings nothing needs no data")
}

// What was said to have failed may have been done: its success is undone all the same.
func TestResolve_AsFailedTurnsTheSagaBackAndALateSuccessIsUndone(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	require.Equal(t, "CancelOrder", s.input(saga.Resolve{Operator: operator, Step: "reserve", As: saga.Failed}))
	require.Equal(t, operator.Reason, s.State().Reason)
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("CANCELLED")
	require.Equal(t, "ReleaseInventory", s.answers("ReserveInventory", "InventoryReserved"))
}

func TestResolve_AsUndoneFreesAStuckCompensation(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	s.input(saga.Cancel{Operator: operator})
	s.waits()
	s.waits()
	s.waits()
	s.Is("COMPENSATION_STUCK")
	s.Refuses(saga.Resolve{Operator: operator, Step: "reserve", As: saga.Done}, saga.ErrCannotResolve)
	s.input(saga.Resolve{Operator: operator, Step: "reserve", As: saga.Undone})
	s.Is("COMPENSATING")
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("CANCELLED")
	s.Refuses(saga.Resolve{Operator: operator, Step: "reserve", As: saga.Undone}, saga.ErrEnded)
}

func TestResolve_AsUndoneOfWhatIsDoneTurnsTheSagaBackWithoutUndoingItAgain(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	s.Refuses(saga.Resolve{Operator: operator, Step: "confirm", As: saga.Undone}, saga.ErrCannotResolve)
	require.Empty(t, s.input(saga.Resolve{Operator: operator, Step: "reserve", As: saga.Undone}), "confirm is waited for first")
	s.Is("COMPENSATING")
	require.Equal(t, "CancelOrder", s.answers("ConfirmOrder", "OrderConfirmed"))
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("CANCELLED")
	require.Empty(t, s.Commands("ReleaseInventory"))
}

func TestSkipWait_EndsWhateverIsWaitedForNow(t *testing.T) {
	t.Parallel()
	s := bookedJourney(t)
	require.Equal(t, "ReserveRoom", s.input(saga.SkipWait{Operator: operator}), "the backoff is over")
	require.Equal(t, 2, s.Waits()[0].Attempt)
	require.Contains(t, s.line().Note, "sent again")
	s.answers("ReserveRoom", "RoomPromised")
	require.Empty(t, s.input(saga.SkipWait{Operator: operator, Step: "approval"}), "goes on without the event")
	require.Equal(t, "cool-off", s.Waits()[0].Step, "nobody wants a car")
	s.Refuses(saga.SkipWait{Operator: operator, Step: "approval"}, saga.ErrNotWaiting)
	require.Equal(t, "TakePayment", s.input(saga.SkipWait{Operator: operator}))
	s.says("TripApproved", uuid.Nil, `{}`)
	require.Equal(t, saga.StaleReply, s.line().Kind)
	s.answers("TakePayment", "PaymentTaken")
	s.Is("COMPLETED")
}

func TestSkipWait_OfTheLastAttemptGivesTheStepUp(t *testing.T) {
	t.Parallel()
	s := bookedJourney(t)
	s.waits()
	require.Equal(t, "CancelRoom", s.input(saga.SkipWait{Operator: operator}))
	require.Contains(t, s.line().Note, "given up")
}

func TestSkipWait_AsksWhichWhereSeveralWait(t *testing.T) {
	t.Parallel()
	s := saga.Define[purchase]("pair", 1)
	s.StartOn("Start", saga.From(func(p purchase) purchase { return p }))
	s.Step("a").After(time.Hour)
	s.Parallel("b").After(time.Hour)
	def, err := s.Build()
	require.NoError(t, err)
	p := begin(t, def)
	p.Refuses(saga.SkipWait{Operator: operator}, saga.ErrNoStep)
	p.input(saga.SkipWait{Operator: operator, Step: "b"})
	p.input(saga.SkipWait{Operator: operator})
	p.Is("COMPLETED")
}

func TestEditData_TakesWhatFitsTheTypeAndRecordsTheDifference(t *testing.T) {
	t.Parallel()
	s := bookedJourney(t)
	for name, patch := range map[string]string{
		"an unknown field": `{"nights":3}`, "another case": `{"Days":3}`, "another type": `{"days":"three"}`,
		"no object": `[]`, "no JSON": `{`, "a number that is none of the type": `{"days":1.5}`, "a second value": `{} {}`,
		"what cannot be stored": `{"guest":"a\u0000b"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s.Refuses(saga.EditData{Operator: operator, Patch: []byte(patch)}, saga.ErrBadData)
		})
	}
	s.Refuses(saga.EditData{Operator: operator, Patch: []byte(`{"days":2}`)}, saga.ErrNoEffect)
	require.Empty(t, s.input(saga.EditData{Operator: operator, Patch: []byte(`{"days":5,"guest":null,"room":"1"}`)}))
	require.JSONEq(t, `{"guest":"","room":"1","car":false,"days":5}`, string(s.State().Data))
	require.Equal(t, `/days: 2 → 5; /guest: "ann" → ""; /room: null → "1": `+operator.Reason, s.line().Note)
	require.Equal(t, "ReserveRoom", s.input(saga.RetryNow{Operator: operator}))
	require.Equal(t, 5, s.last.Commands[0].Body.(journey).Days, "what is sent from then on is made of it")
}

// The vectors of RFC 7396, appendix A, as far as a saga's data can be like that.
func TestEditData_IsAMergePatch(t *testing.T) {
	t.Parallel()
	s := saga.Define[map[string]any]("any", 1)
	s.StartOn("Start", func(m saga.Message) (data map[string]any, err error) { return data, json.Unmarshal(m.Data, &data) })
	s.Step("wait").After(time.Hour)
	def, err := s.Build()
	require.NoError(t, err)
	for _, c := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		state := saga.State{}
		for _, in := range []saga.Input{
			saga.Message{ID: uuid.New(), Type: "Start", Key: "1", Data: []byte(c.target)},
			saga.EditData{Operator: operator, Patch: []byte(c.patch)},
		} {
			d, err := def.Apply(state, in, time.Unix(1, 0))
			require.NoError(t, err)
			state = d.State
		}
		require.JSONEq(t, c.want, string(state.Data), "%s with %s", c.target, c.patch)
	}
}

func TestSuspend_NothingPassesAndRepliesAreTakenInOrderOnResume(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	due, _ := s.State().Deadline()
	s.Delay(3 * time.Second)
	require.Empty(t, s.input(saga.Suspend{Operator: operator}))
	s.Is("SUSPENDED")
	require.Equal(t, "suspended by ann", s.State().Trouble())
	_, waits := s.State().Deadline()
	require.False(t, waits)
	s.Refuses(saga.Suspend{Operator: operator}, saga.ErrNoEffect)
	s.Refuses(saga.RetryNow{Operator: operator}, saga.ErrSuspended)
	s.Refuses(saga.Force{Operator: operator, End: "CANCELLED"}, saga.ErrSuspended)
	s.Delay(100 * time.Hour)
	require.Empty(t, s.input(saga.Due{}))
	require.Empty(t, s.answers("ReserveInventory", "InventoryReserved"))
	require.Equal(t, saga.HeldMessage, s.line().Kind)
	require.Empty(t, s.says("OrderCancelRequested", uuid.Nil, `{"reason":"too slow"}`))
	require.Len(t, s.State().Held, 2)
	s.input(saga.EditData{Operator: operator, Patch: []byte(`{"item":"fries"}`)})
	seen := operator
	seen.Seen = 1
	s.Refuses(saga.Resume{Operator: seen}, saga.ErrMoved)
	require.Equal(t, "ConfirmOrder", s.input(saga.Resume{Operator: operator}), "the reply, and then the cancellation")
	s.Is("COMPENSATING")
	require.Empty(t, s.State().Held)
	require.Equal(t, "ReleaseInventory", s.answers("ConfirmOrder", "OrderConfirmed"))

	other := begin(t, orderSaga(t))
	other.Delay(3 * time.Second)
	other.input(saga.Suspend{Operator: operator})
	other.Delay(time.Hour)
	other.input(saga.Resume{Operator: operator})
	moved, _ := other.State().Deadline()
	require.Equal(t, time.Hour, moved.Sub(due), "the clock stood still")
	other.Refuses(saga.Resume{Operator: operator}, saga.ErrNoEffect)
	other.Is("RUNNING")
}

func TestRestartFrom_GoesForwardAgainWhereNothingWasTakenBack(t *testing.T) {
	t.Parallel()
	s := saga.Define[purchase]("pair", 1)
	s.StartOn("Start", saga.From(func(p purchase) purchase { return p }))
	s.Step("check").Send("Check", body).Success("Checked").Failure("Unfit", nil).Wait(twice, "x").NoUndo("reads")
	s.Step("a").Send("DoA", body).Success("DoneA").Failure("NotA", nil).Wait(twice, "x").Undo("UndoA", body, "UndoneA", twice)
	s.Parallel("b").Send("DoB", body).Success("DoneB").Failure("NotB", nil).Wait(twice, "x").Undo("UndoB", body, "UndoneB", twice)
	def, err := s.Build()
	require.NoError(t, err)
	p := begin(t, def)
	p.Refuses(saga.RestartFrom{Operator: operator, Step: "a"}, saga.ErrNoRestart)
	p.answers("Check", "Checked")
	p.answers("DoA", "NotA")
	p.Is("COMPENSATING")
	p.Refuses(saga.RestartFrom{Operator: operator, Step: "check"}, saga.ErrNoRestart)
	require.Equal(t, "DoA", p.input(saga.RestartFrom{Operator: operator, Step: "a"}), "b is on its way, and is not sent again")
	p.Is("RUNNING")
	require.Empty(t, p.State().Reason)
	p.answers("DoB", "DoneB")
	p.answers("DoA", "DoneA")
	p.Is("COMPLETED")
	p.Refuses(saga.RestartFrom{Operator: operator, Step: "a"}, saga.ErrEnded)
}

func TestRestartFrom_IsRefusedOnceAnUndoWasSent(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryRejected")
	s.Refuses(saga.RestartFrom{Operator: operator, Step: "reserve"}, saga.ErrNoRestart)
	other := begin(t, orderSaga(t))
	other.says("OrderCancelRequested", uuid.Nil, `{}`)
	other.Refuses(saga.RestartFrom{Operator: operator, Step: "reserve"}, saga.ErrNoRestart)
}

// The data was wrong: nobody wanted a car, and now somebody does.
func TestRestartFrom_AsksTheConditionAgain(t *testing.T) {
	t.Parallel()
	s := bookedJourney(t)
	s.answers("ReserveRoom", "RoomPromised")
	s.says("TripApproved", uuid.Nil, `{}`)
	require.Equal(t, "cool-off", s.Waits()[0].Step)
	s.Refuses(saga.RestartFrom{Operator: operator, Step: "approval"}, saga.ErrNoRestart)
	s.input(saga.EditData{Operator: operator, Patch: []byte(`{"car":true}`)})
	require.Equal(t, "RentCar", s.input(saga.RestartFrom{Operator: operator, Step: "car"}))
	s.answers("RentCar", "CarRented")
	require.Equal(t, "TakePayment", s.waits())
	s.answers("TakePayment", "PaymentTaken")
	s.Is("COMPLETED")
	require.Len(t, s.Commands("ReserveRoom"), 1)
}

func TestRequest_SaysWhichFieldIsWrong(t *testing.T) {
	t.Parallel()
	for field, r := range map[string]saga.Request{
		"action": {Action: "reset"},
		"step":   {Action: saga.ActResolve, As: saga.Done},
		"as":     {Action: saga.ActResolve, Step: "a", As: saga.Waiting},
		"data":   {Action: saga.ActResolve, Step: "a", As: saga.Done, Data: []byte(`{`)},
		"patch":  {Action: saga.ActEditData},
		"end":    {Action: saga.ActRetry, End: "CONFIRMED"},
		"to":     {Action: saga.ActMoveDeadline, Step: "a"},
	} {
		_, err := r.For(operator)
		var problem *saga.RequestError
		require.ErrorAs(t, err, &problem, field)
		require.Equal(t, field, problem.Field)
	}
	in, err := saga.Request{Action: saga.ActResolve, Step: "a", As: saga.Done, Data: []byte(`{}`)}.For(operator)
	require.NoError(t, err)
	require.Equal(t, saga.Resolve{Operator: operator, Step: "a", As: saga.Done, Data: []byte(`{}`)}, in)
	require.Equal(t, saga.ActResolve, saga.ActionOf(in))
}

// A version that is suspended as a whole holds what comes, that which begins sagas included.
func TestRegistry_ASuspendedDefinitionHoldsWhatComesAndLosesNothing(t *testing.T) {
	t.Parallel()
	def := orderSaga(t)
	r, now := registry(t, def), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	running := last2(t, r, saga.State{}, message("OrderCreated"), now).State
	r.Suspend(saga.Suspension{Definition: "order", Version: 1, At: now, By: "ann", Reason: "the warehouse burns"})

	start := message("OrderCreated")
	begun := last2(t, r, saga.State{}, start, now)
	require.Equal(t, saga.Suspended, begun.State.Phase)
	require.Empty(t, begun.Commands)
	require.Contains(t, begun.Transition.Note, "suspended by ann: the warehouse burns")
	cancelled := last2(t, r, begun.State, message("OrderCancelRequested"), now).State
	require.Len(t, cancelled.Held, 2)
	_, err := r.Apply(cancelled, saga.RetryNow{Operator: operator}, now)
	require.ErrorIs(t, err, saga.ErrSuspended)
	_, err = r.Apply(saga.State{}, message("TripApproved"), now)
	require.ErrorIs(t, err, saga.ErrUnknownSaga)

	shown := last2(t, r, running, saga.Due{}, now.Add(time.Hour)).State
	require.Equal(t, "version 1 of order is suspended", shown.Trouble())
	_, waits := shown.Deadline()
	require.False(t, waits)

	r.Suspend()
	later := now.Add(2 * time.Hour)
	resumed := last2(t, r, begun.State, saga.Due{}, later)
	require.Equal(t, saga.Running, resumed.State.Phase)
	require.Equal(t, start.ID, resumed.State.StartID)
	require.Equal(t, "ReserveInventory", resumed.Commands[0].Type)
	back := last2(t, r, shown, saga.Due{}, later).State
	require.Equal(t, saga.Running, back.Phase)
	was, _ := running.Deadline()
	is, _ := back.Deadline()
	require.Equal(t, 2*time.Hour, is.Sub(was))
	require.Equal(t, saga.Compensating, last2(t, r, cancelled, saga.Due{}, later).State.Phase)
}
