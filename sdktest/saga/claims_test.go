package saga_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/sagatest"
)

// gift is a small definition in as many versions as a test needs.
func gift(t testing.TB, version int, start string, write ...func(*saga.Builder[purchase])) *saga.Definition {
	t.Helper()
	s := saga.Define[purchase]("gift", version)
	s.StartOn(start, saga.From(func(p purchase) purchase { return p }))
	s.Step("wrap").Send("Wrap", body).Success("Wrapped").Wait(twice, "silent").NoUndo("paper is cheap")
	for _, w := range write {
		w(s)
	}
	d, err := s.Build()
	require.NoError(t, err)
	return d
}

func message(messageType string) saga.Message {
	return saga.Message{ID: uuid.New(), Type: messageType, Key: "1", Data: []byte(`{}`)}
}

func last(t testing.TB, decisions []saga.Decision, err error) saga.Decision {
	t.Helper()
	require.NoError(t, err)
	require.NotEmpty(t, decisions)
	return decisions[len(decisions)-1]
}

func registry(t testing.TB, defs ...*saga.Definition) *saga.Registry {
	t.Helper()
	r, err := saga.NewRegistry(defs...)
	require.NoError(t, err)
	return r
}

func TestRoute_TwoDefinitionsDoNotShareAnID(t *testing.T) {
	t.Parallel()
	r := registry(t, orderSaga(t), purchaseSaga(t))
	now := time.Now()
	m := saga.Message{ID: uuid.New(), Type: "OrderCreated", Key: "17", Data: []byte(`{}`)}
	order := last2(t, r, saga.State{}, m, now).State
	m = saga.Message{ID: uuid.New(), Type: "PurchasePlaced", Key: "17", Data: []byte(`{}`)}
	ref, err := r.Route([]saga.State{order}, m)
	require.NoError(t, err)
	require.Equal(t, []saga.Ref{{Definition: "purchase", ID: "17"}}, ref)
	purchase := last2(t, r, saga.State{}, m, now)
	require.Len(t, purchase.Commands, 2)

	reply := saga.Message{ID: uuid.New(), Type: "InventoryReserved", Key: "17"}
	ref, err = r.Route([]saga.State{purchase.State, order}, reply)
	require.NoError(t, err)
	require.Equal(t, []saga.Ref{order.Ref()}, ref)
}

func last2(t testing.TB, r *saga.Registry, s saga.State, in saga.Input, now time.Time) saga.Decision {
	t.Helper()
	d, err := r.Apply(s, in, now)
	return last(t, d, err)
}

// Two definitions may use one participant: a reply goes to the saga that sent
// the command it answers, and one that names none is not guessed at.
func TestRoute_AReplyThatTwoDefinitionsKnowGoesToTheOneThatAsked(t *testing.T) {
	t.Parallel()
	other := saga.Define[purchase]("return", 1)
	other.StartOn("ReturnAsked", saga.From(func(p purchase) purchase { return p }))
	other.Step("stock").Send("ReserveInventory", body).Success("InventoryReserved").Wait(twice, "silent").NoUndo("x")
	returns, err := other.Build()
	require.NoError(t, err)
	r := registry(t, orderSaga(t), returns)
	now := time.Now()
	a := last2(t, r, saga.State{}, message("OrderCreated"), now)
	b := last2(t, r, saga.State{}, message("ReturnAsked"), now)
	exist := []saga.State{a.State, b.State}
	for _, d := range []saga.Decision{a, b} {
		m := message("InventoryReserved")
		m.CausationID = d.Commands[0].ID
		ref, err := r.Route(exist, m)
		require.NoError(t, err)
		require.Equal(t, []saga.Ref{d.State.Ref()}, ref)
	}
	_, err = r.Route(exist, message("InventoryReserved"))
	require.ErrorIs(t, err, saga.ErrAmbiguous)
	_, err = r.Route(nil, message("InventoryReserved"))
	require.ErrorIs(t, err, saga.ErrUnknownSaga)
}

func TestRegistry_AMessageThatStartsAnOlderVersionStartsIt(t *testing.T) {
	t.Parallel()
	for _, r := range []*saga.Registry{
		registry(t, gift(t, 1, "GiftOrdered"), gift(t, 2, "GiftPlaced")),
		registry(t, gift(t, 2, "GiftPlaced"), gift(t, 1, "GiftOrdered")),
	} {
		require.Equal(t, 1, last2(t, r, saga.State{}, message("GiftOrdered"), time.Now()).State.Version)
		require.Equal(t, 2, last2(t, r, saga.State{}, message("GiftPlaced"), time.Now()).State.Version)
	}
}

func TestApply_WhatWasGivenIsUndoneWhereverItStands(t *testing.T) {
	t.Parallel()
	s := saga.Define[purchase]("late given", 1)
	s.StartOn("Start", saga.From(func(p purchase) purchase { return p }))
	s.CancelOn("Cancel", time.Hour, nil)
	s.Step("reserve").Send("Reserve", body).Success("Reserved").Failure("Rejected", nil).Wait(twice, "silent").NoUndo("x")
	s.Step("order").AlreadyDone("accepted before").Undo("CancelOrder", body, "OrderCancelled", twice)
	d, err := s.Build()
	require.NoError(t, err)
	st := begin(t, d)
	require.Equal(t, "CancelOrder", st.answers("Reserve", "Rejected"))

	early := unbegun(t, d)
	early.says("Cancel", uuid.Nil, `{}`)
	require.Equal(t, "CancelOrder", early.says("Start", uuid.Nil, `{}`))
}

func TestReply_AConfirmationThatIsContradictedEndsTheSaga(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	require.Equal(t, "ReleaseInventory", s.answers("ConfirmOrder", "OrderCancelled"))
	require.Equal(t, saga.Replied, s.line().Kind)
	require.Empty(t, s.answers("ReleaseInventory", "InventoryReleased"), "the order says itself that it is cancelled")
	s.Is("CANCELLED")
	require.Equal(t, "none left", s.State().Reason)
}

func TestDeadline_ACommandThatMustBeAnsweredShowsAsStuckAfterItsAttempts(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	for range 2 {
		s.waits()
		require.Empty(t, s.State().Trouble())
	}
	s.waits()
	s.Is("RUNNING")
	require.NotEmpty(t, s.State().Trouble())
	require.True(t, s.Waits()[0].Stuck)
	s.answers("ConfirmOrder", "OrderConfirmed")
	s.Is("CONFIRMED")
	require.Empty(t, s.State().Trouble())
}

func TestApply_ADefinitionThatChangedUnderItsVersionIsRefused(t *testing.T) {
	t.Parallel()
	old := begin(t, orderSaga(t)).State()
	s := saga.Define[purchase]("order", 1)
	s.StartOn("OrderCreated", saga.From(func(p purchase) purchase { return p }))
	for _, n := range []string{"a", "b", "c", "d"} {
		s.Step(n).Send("Do"+n, body).Success("Done"+n).Wait(twice, "x").NoUndo("x")
	}
	d, err := s.Build()
	require.NoError(t, err)
	require.NotEqual(t, orderSaga(t).Fingerprint(), d.Fingerprint())
	same := orderSaga(t)
	require.Equal(t, same.Fingerprint(), orderSaga(t).Fingerprint())
	for _, in := range []saga.Input{saga.Message{ID: uuid.New(), Type: "Doned", Key: sagatest.Key, CausationID: uuid.New()}, saga.Due{}} {
		_, err = d.Apply(old, in, time.Now().Add(time.Hour))
		require.ErrorIs(t, err, saga.ErrWrongDefinition)
	}
	require.Empty(t, d.Waits(old))
}

func TestApply_APanicInADefinitionIsAnErrorWithItsText(t *testing.T) {
	t.Parallel()
	s := saga.Define[purchase]("order", 1)
	s.StartOn("OrderCreated", saga.From(func(p purchase) purchase { return p }))
	s.Step("pay").Send("Pay", func(saga.Call[purchase]) (any, error) {
		return []int{}[len(uuid.Nil)], nil
	}).Success("Paid").Wait(twice, "silent").NoUndo("x")
	d, err := s.Build()
	require.NoError(t, err)
	_, err = registry(t, d).Apply(saga.State{}, message("OrderCreated"), time.Now())
	require.ErrorIs(t, err, saga.ErrPanicked)
	require.ErrorContains(t, err, "index out of range [16]")
}

func TestRegistry_AnEndedSagaWhoseVersionIsGoneStaysEnded(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	s.answers("ConfirmOrder", "OrderConfirmed")
	empty := registry(t)
	d := last2(t, empty, s.State(), saga.Message{ID: uuid.New(), Type: "InventoryReserved", Key: sagatest.Key}, s.Now())
	require.Equal(t, saga.Completed, d.State.Phase)
	due, ok := d.State.Deadline()
	require.True(t, ok && !due.After(s.Now()), "who knows the version looks at it at once")
	d = last2(t, empty, d.State, saga.Due{}, s.Now().Add(time.Minute))
	require.Equal(t, saga.Completed, d.State.Phase)
	require.Len(t, d.Refused, 1, "what nobody can apply is set aside, not lost")
	require.ErrorIs(t, d.Refused[0].Err, saga.ErrNotRegistered)
	_, ok = d.State.Deadline()
	require.False(t, ok)
}

// A deployment replaces orchestrators one by one: a reply to a saga of the new
// version reaches an old one, also one of a type that the old one does not know.
func TestRegistry_ARollingDeploymentParksNothingAndSkipsNoReply(t *testing.T) {
	t.Parallel()
	card := func(s *saga.Builder[purchase]) {
		s.Step("card").Send("WriteCard", body).Success("CardWritten").Wait(twice, "silent").NoUndo("so are cards")
	}
	older, newer := registry(t, gift(t, 1, "GiftOrdered")), registry(t, gift(t, 1, "GiftOrdered"), gift(t, 2, "GiftOrdered", card))
	now := time.Now()
	state := last2(t, newer, saga.State{}, message("GiftOrdered"), now).State
	for _, reply := range []string{"Wrapped", "CardWritten"} {
		m := message(reply)
		for _, st := range state.Steps {
			if st.Status == saga.Waiting {
				m.CausationID = st.Sent[0]
			}
		}
		ref, err := older.Route([]saga.State{state}, m)
		require.NoError(t, err, reply)
		require.Equal(t, []saga.Ref{state.Ref()}, ref)
		state = last2(t, older, state, m, now).State
		require.Equal(t, saga.Running, state.Phase)
		due, _ := state.Deadline()
		require.False(t, due.After(now))
		state = last2(t, newer, state, saga.Due{}, now).State
	}
	require.Equal(t, saga.Completed, state.Phase)
	require.Zero(t, state.Stale)

	// What is of no command of ours is nobody's.
	_, err := older.Route([]saga.State{state}, message("ParcelLost"))
	require.ErrorIs(t, err, saga.ErrUnknownSaga)
}

func TestRegistry_WhatWasHeldAndCannotBeAppliedIsRefusedNotLost(t *testing.T) {
	t.Parallel()
	def := gift(t, 1, "GiftOrdered", func(s *saga.Builder[purchase]) {
		s.Step("pay").Send("Pay", body).SuccessKeeping("Paid", func(*purchase, saga.Message) error { return errors.New("no receipt") }).
			Wait(twice, "silent").NoUndo("x")
	})
	r, now := registry(t, def), time.Now()
	state := last2(t, r, saga.State{}, message("GiftOrdered"), now).State
	state = last2(t, r, state, message("Wrapped"), now).State
	state = last2(t, registry(t), state, message("Paid"), now).State
	decisions, err := r.Apply(state, saga.Due{}, now)
	require.NoError(t, err)
	require.Len(t, decisions[0].Refused, 1)
	require.ErrorContains(t, decisions[0].Refused[0].Err, "no receipt")
	require.Equal(t, saga.Resumed, decisions[0].Transition.Kind)
}

func TestRegistry_AStartByAnotherMessageIsAConflict(t *testing.T) {
	t.Parallel()
	r, now := registry(t, orderSaga(t)), time.Now()
	first := message("OrderCreated")
	s := last2(t, r, saga.State{}, first, now).State
	require.Equal(t, saga.StaleReply, last2(t, r, s, first, now).Transition.Kind)
	_, err := r.Apply(s, message("OrderCreated"), now)
	require.ErrorIs(t, err, saga.ErrStartConflict)
}

func TestCompensation_AnUndoThatRanOutOfAttemptsNoLongerHoldsTheOthers(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	s.answers("ConfirmOrder", "OrderConfirmed")
	s.says("OrderCancelRequested", uuid.Nil, `{}`)
	s.waits()
	require.Equal(t, "ReleaseInventory CancelOrder", s.waits())
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("COMPENSATION_STUCK")
	s.answers("ReleaseInventory", "InventoryReleased")
	s.Is("CANCELLED")
}

func TestDeadline_TwoAtOnceAreTwoLinesOfHistory(t *testing.T) {
	t.Parallel()
	r := registry(t, purchaseSaga(t))
	now := time.Now()
	s := last2(t, r, saga.State{}, message("PurchasePlaced"), now).State
	decisions, err := r.Apply(s, saga.Due{}, now.Add(time.Minute))
	require.NoError(t, err)
	require.Len(t, decisions, 2)
	require.Equal(t, []string{"stock", "payment"}, []string{decisions[0].Transition.Step, decisions[1].Transition.Step})
}

func TestDeadline_ACommandThatHasNotLeftUsesUpNothing(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	unsent := s.Commands("ReserveInventory")[0].ID
	s.Delay(time.Hour)
	require.Equal(t, []uuid.UUID{unsent}, s.State().Overdue(s.Now()))
	s.input(saga.Due{Unsent: []uuid.UUID{unsent}})
	require.Empty(t, s.last.Transitions)
	require.Empty(t, s.input(saga.Due{Restart: true}))
	require.Equal(t, saga.Postponed, s.line().Kind)
	due, _ := s.State().Deadline()
	require.Equal(t, 10*time.Second, due.Sub(s.Now()))
	require.Equal(t, 1, s.State().Steps[1].Attempt)
	s.waits()
	s.waits()
	require.Equal(t, "ReleaseInventory CancelOrder", s.waits(), "all its attempts are left")
}

func TestText_IsCutOnceAndPlain(t *testing.T) {
	t.Parallel()
	require.Equal(t, "none left", saga.Text("none left"))
	require.Equal(t, "a b c", saga.Text(" a\x00b\nc "))
	require.Equal(t, "a b", saga.Text("a\u202eb\u2028"))
	require.Equal(t, "\uFFFDx", saga.Text("\xffx"))
	for _, n := range []int{1000, 1001, 1200, 900_000} {
		for _, char := range []string{"x", "ü", "漢"} {
			cut := saga.Text(strings.Repeat(char, n))
			require.Equal(t, saga.MaxTextRunes, utf8.RuneCountInString(cut))
			require.Equal(t, n > saga.MaxTextRunes, strings.HasSuffix(cut, "…"))
			require.Equal(t, cut, saga.Text(cut))
		}
	}
	s := begin(t, orderSaga(t))
	s.says("InventoryRejected", s.Commands("ReserveInventory")[0].ID, `{"reason":"`+strings.Repeat("x", 1200)+`"}`)
	require.Len(t, []rune(s.State().Reason), saga.MaxTextRunes)
	require.Equal(t, s.State().Reason, s.line().Note)
}

func TestBuild_WhatIsDoneWithTheBuilderAfterwardsChangesNothing(t *testing.T) {
	t.Parallel()
	s := saga.Define[purchase]("gift", 1)
	s.StartOn("GiftOrdered", saga.From(func(p purchase) purchase { return p }))
	wrap := s.Step("wrap").Send("Wrap", body).Success("Wrapped").Wait(twice, "silent").NoUndo("x")
	d, err := s.Build()
	require.NoError(t, err)
	before := d.Describe()
	wrap.Success("WrappedTwice").Failure("TornApart", nil).Send("WrapAgain", body)
	s.Parallel("card").Send("WriteCard", body).Success("Wrapped").Wait(twice, "silent").NoUndo("x")
	require.Equal(t, before, d.Describe())
}

// A saga's data can be null; that says nothing about whether it has begun.
func TestApply_NullDataIsNoSentinel(t *testing.T) {
	t.Parallel()
	s := saga.Define[*purchase]("gift", 1)
	s.StartOn("GiftOrdered", func(saga.Message) (*purchase, error) { return nil, nil })
	s.Step("wrap").Send("Wrap", func(saga.Call[*purchase]) (any, error) { return nil, nil }).
		Success("Wrapped").Wait(twice, "silent").NoUndo("x")
	d, err := s.Build()
	require.NoError(t, err)
	first := message("GiftOrdered")
	one, err := d.Apply(saga.State{}, first, time.Now())
	require.NoError(t, err)
	again, err := d.Apply(one.State, first, time.Now())
	require.NoError(t, err)
	require.Equal(t, saga.Running, again.State.Phase)
}

func TestApply_IDsAndTimesOfCommandsComeFromTheInput(t *testing.T) {
	t.Parallel()
	def, now := orderSaga(t), time.Now()
	m := message("OrderCreated")
	m.Time = now.Add(-time.Hour)
	a, err := def.Apply(saga.State{}, m, now)
	require.NoError(t, err)
	b, err := def.Apply(saga.State{}, m, now.Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, a.Commands, b.Commands)
	c, err := def.Apply(a.State, saga.Due{}, now.Add(time.Hour))
	require.NoError(t, err)
	d, err := def.Apply(a.State, saga.Due{}, now.Add(2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, c.Commands, d.Commands)
}
