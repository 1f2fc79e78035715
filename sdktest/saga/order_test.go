package saga_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
)

// purchase is what the tests' sagas carry.
type purchase struct {
	Item string `json:"item"`
	Auth string `json:"auth,omitempty"`
}

type refusal struct {
	Reason string `json:"reason"`
}

func body(saga.Call[purchase]) (any, error) { return struct{}{}, nil }

var (
	thrice = saga.RetryPolicy{Timeout: 10 * time.Second, MaxAttempts: 3, Jitter: -1}
	twice  = saga.RetryPolicy{Timeout: 10 * time.Second, MaxAttempts: 2, Jitter: -1}
)

// orderSaga has the shape of the order saga, with round numbers and no jitter.
func orderSaga(t testing.TB) *saga.Definition {
	t.Helper()
	s := saga.Define[purchase]("order", 1)
	s.StartOn("OrderCreated", saga.From(func(p purchase) purchase { return p }))
	s.CancelOn("OrderCancelRequested", time.Hour, saga.From(func(r refusal) string { return r.Reason }))
	s.RefuseCancel("RefuseCancel", func(c saga.Call[purchase]) (any, error) { return c.Reason, nil })
	s.Ends("CONFIRMED", "CANCELLED")
	s.Step("order").AlreadyDone("accepted").Undo("CancelOrder", body, "OrderCancelled", twice)
	s.Step("reserve").Send("ReserveInventory", body).
		Success("InventoryReserved").
		Failure("InventoryRejected", saga.From(func(r refusal) string { return r.Reason })).
		Wait(thrice, "inventory did not answer").
		Undo("ReleaseInventory", body, "InventoryReleased", twice)
	s.Step("confirm").Send("ConfirmOrder", body).Success("OrderConfirmed").
		Failure("OrderCancelled", saga.From(func(r refusal) string { return r.Reason })).
		RetryForever(thrice).NoUndo("cancelling takes it back")
	def, err := s.Build()
	require.NoError(t, err)
	return def
}

// story drives one saga and remembers every command, so that a test reads as
// what was said and what was sent.
type story struct {
	t     *testing.T
	def   *saga.Definition
	state saga.State
	now   time.Time
	sent  map[string][]saga.Command // by type
	last  saga.Decision
}

func begin(t *testing.T, def *saga.Definition) *story {
	s := &story{t: t, def: def, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), sent: map[string][]saga.Command{}}
	s.says(def.Describe().StartOn, uuid.Nil, `{"item":"burger"}`)
	return s
}

func (s *story) input(in saga.Input) string {
	s.t.Helper()
	d, err := s.def.Apply(s.state, in, s.now)
	require.NoError(s.t, err)
	s.state, s.last = d.State, d
	var types []string
	for _, c := range d.Commands {
		s.sent[c.Type] = append(s.sent[c.Type], c)
		types = append(types, c.Type)
	}
	return strings.Join(types, " ")
}

// says delivers a message and returns the types of the commands it led to.
func (s *story) says(messageType string, cause uuid.UUID, data string) string {
	s.t.Helper()
	return s.input(saga.Message{ID: uuid.New(), Type: messageType, Key: "7", CausationID: cause, Data: []byte(data)})
}

// answers delivers a reply to the latest command of the given type.
func (s *story) answers(command, reply string) string {
	s.t.Helper()
	return s.answersNth(len(s.sent[command]), command, reply)
}

func (s *story) answersNth(n int, command, reply string) string {
	s.t.Helper()
	require.GreaterOrEqual(s.t, len(s.sent[command]), n, "%s was not sent so often", command)
	return s.says(reply, s.sent[command][n-1].ID, `{"reason":"none left"}`)
}

// waits lets the time of the next deadline come, and acts on all that is overdue.
func (s *story) waits() string {
	s.t.Helper()
	due, ok := s.state.Deadline()
	require.True(s.t, ok, "the saga waits for nothing")
	s.now = due
	var all []string
	for {
		sent, changed := s.input(saga.Due{}), s.last.Changed()
		if sent != "" {
			all = append(all, sent)
		}
		if due, ok = s.state.Deadline(); !changed || !ok || due.After(s.now) {
			return strings.Join(all, " ")
		}
	}
}

func (s *story) is(state string) {
	s.t.Helper()
	require.Equal(s.t, state, s.def.StateName(s.state.Phase))
}

func TestAnOrderIsReservedThenConfirmed(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	require.Len(t, s.sent["ReserveInventory"], 1)
	require.Equal(t, "ConfirmOrder", s.answers("ReserveInventory", "InventoryReserved"))
	s.is("RUNNING")
	require.Empty(t, s.answers("ConfirmOrder", "OrderConfirmed"))
	s.is("CONFIRMED")
	_, waits := s.state.Deadline()
	require.False(t, waits)
}

func TestARejectedOrderIsCancelledWithTheReasonAndNothingIsReleased(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	require.Equal(t, "CancelOrder", s.answers("ReserveInventory", "InventoryRejected"))
	s.is("COMPENSATING")
	s.answers("CancelOrder", "OrderCancelled")
	s.is("CANCELLED")
	require.Equal(t, "none left", s.state.Reason)
}

// Attempt 1 is refused, but attempt 2 may find what somebody else gave back in
// between, and its reply may be lost.
func TestARefusalAfterARepetitionIsUndoneAllTheSame(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.waits()
	require.Equal(t, "ReleaseInventory CancelOrder", s.answersNth(1, "ReserveInventory", "InventoryRejected"))
	s.answers("CancelOrder", "OrderCancelled")
	s.answers("ReleaseInventory", "InventoryReleased")
	s.is("CANCELLED")
	require.Equal(t, "none left", s.state.Reason)
}

func TestASilentInventoryIsAskedAgainWithGrowingPatienceThenGivenUp(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	start := s.now
	require.Equal(t, "ReserveInventory", s.waits())
	require.Equal(t, 10*time.Second, s.now.Sub(start))
	require.Equal(t, "ReserveInventory", s.waits())
	require.Equal(t, 30*time.Second, s.now.Sub(start))
	require.Equal(t, "ReleaseInventory CancelOrder", s.waits(), "the release is sent, but not waited for")
	require.Equal(t, 70*time.Second, s.now.Sub(start))
	s.answers("CancelOrder", "OrderCancelled")
	s.is("COMPENSATING")
	s.answers("ReleaseInventory", "InventoryReleased")
	s.is("CANCELLED")
	require.Equal(t, "inventory did not answer", s.state.Reason)
}

func TestAReplyToAnEarlierAttemptCountsWhileTheStepWaits(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.waits()
	require.Equal(t, "ConfirmOrder", s.answersNth(1, "ReserveInventory", "InventoryReserved"))
	require.Empty(t, s.answersNth(2, "ReserveInventory", "InventoryReserved"))
	require.Equal(t, saga.StaleReply, s.last.Transition.Kind)
	require.Equal(t, 1, s.state.Stale)
}

// A success that comes after the saga gave the step up is taken back exactly
// once, whether the undo sent blindly has been answered or not, and however
// often the late success is repeated.
func TestALateReservationIsReleasedExactlyOnce(t *testing.T) {
	t.Parallel()
	gaveUp := func(t *testing.T) *story {
		s := begin(t, orderSaga(t))
		s.waits()
		s.waits()
		s.waits()
		return s
	}
	t.Run("after the saga has ended", func(t *testing.T) {
		t.Parallel()
		s := gaveUp(t)
		s.answers("ReleaseInventory", "InventoryReleased")
		s.answers("CancelOrder", "OrderCancelled")
		s.is("CANCELLED")
		require.Equal(t, "ReleaseInventory", s.answersNth(1, "ReserveInventory", "InventoryReserved"))
		require.Equal(t, saga.LateSuccess, s.last.Transition.Kind)
		s.is("COMPENSATING")
		require.Empty(t, s.answersNth(2, "ReserveInventory", "InventoryReserved"))
		s.answers("ReleaseInventory", "InventoryReleased")
		s.is("CANCELLED")
		require.Empty(t, s.answersNth(3, "ReserveInventory", "InventoryReserved"))
		s.is("CANCELLED")
	})
	t.Run("while the blind release is on its way", func(t *testing.T) {
		t.Parallel()
		s := gaveUp(t)
		s.answers("CancelOrder", "OrderCancelled")
		require.Equal(t, "ReleaseInventory", s.answersNth(1, "ReserveInventory", "InventoryReserved"))
		s.answersNth(1, "ReleaseInventory", "InventoryReleased")
		s.is("COMPENSATING") // the first release may have found nothing
		s.answersNth(2, "ReleaseInventory", "InventoryReleased")
		s.is("CANCELLED")
	})
}

func TestACancellationWhilePendingWaitsForTheReplyThenUndoesWhatWasDone(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	require.Empty(t, s.says("OrderCancelRequested", uuid.Nil, `{"reason":"changed my mind"}`))
	require.Empty(t, s.says("OrderCancelRequested", uuid.Nil, `{}`), "cancelling twice is the same as once")
	require.Equal(t, "ReleaseInventory", s.answers("ReserveInventory", "InventoryReserved"))
	require.Equal(t, "CancelOrder", s.answers("ReleaseInventory", "InventoryReleased"))
	s.answers("CancelOrder", "OrderCancelled")
	s.is("CANCELLED")
	require.Equal(t, "changed my mind", s.state.Reason)
	require.Empty(t, s.says("OrderCancelRequested", uuid.Nil, `{}`), "a cancelled order stays cancelled")
	s.is("CANCELLED")
	require.Len(t, s.sent["CancelOrder"], 1)
}

func TestACancellationWhileInventoryIsSilentAsksNoMore(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.says("OrderCancelRequested", uuid.Nil, `{}`)
	require.Equal(t, "ReleaseInventory CancelOrder", s.waits())
	require.Len(t, s.sent["ReserveInventory"], 1)
}

func TestAConfirmedOrderIsCancelledWithinTheWindowOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after time.Duration
		sends string
	}{"within": {time.Hour, "ReleaseInventory"}, "after": {time.Hour + 1, "RefuseCancel"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, orderSaga(t))
			s.answers("ReserveInventory", "InventoryReserved")
			s.answers("ConfirmOrder", "OrderConfirmed")
			s.now = s.now.Add(c.after)
			require.Equal(t, c.sends, s.says("OrderCancelRequested", uuid.Nil, `{}`))
			if c.sends == "RefuseCancel" {
				s.is("CONFIRMED")
				require.Contains(t, s.last.Transition.Note, "refused")
				return
			}
			require.Equal(t, "CancelOrder", s.answers("ReleaseInventory", "InventoryReleased"))
			s.answers("CancelOrder", "OrderCancelled")
			s.is("CANCELLED")
		})
	}
}

func TestAConfirmationIsNeverGivenUp(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryReserved")
	for range 50 {
		require.Equal(t, "ConfirmOrder", s.waits())
	}
	s.answers("ConfirmOrder", "OrderConfirmed")
	s.is("CONFIRMED")
}

func TestAnUndoThatIsNotAnsweredIsStuckInSightAndKeepsTrying(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryRejected")
	require.Equal(t, "CancelOrder", s.waits())
	s.is("COMPENSATING")
	require.Equal(t, "CancelOrder", s.waits())
	s.is("COMPENSATION_STUCK")
	require.Equal(t, "CancelOrder", s.waits())
	s.is("COMPENSATION_STUCK")
	s.answersNth(1, "CancelOrder", "OrderCancelled")
	s.is("CANCELLED")
}

func TestRepliesThatDoNotFitAreRecordedAndNotApplied(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.says("InventoryReserved", uuid.New(), `{}`)                              // a command we never sent
	s.says("OrderConfirmed", uuid.Nil, `{}`)                                   // a step whose turn has not come
	s.says("InventoryReleased", uuid.Nil, `{}`)                                // an undo that was not asked for
	s.input(saga.Message{ID: s.state.StartID, Type: "OrderCreated", Key: "7"}) // begun already
	require.Equal(t, 4, s.state.Stale)
	s.answers("ReserveInventory", "InventoryReserved")
	s.answers("ReserveInventory", "InventoryRejected") // contradicts what was said
	require.Equal(t, 5, s.state.Stale)
	s.is("RUNNING")
	_, err := s.def.Apply(saga.State{}, saga.Message{Type: "InventoryReserved", Key: "8"}, s.now)
	require.ErrorIs(t, err, saga.ErrUnknownSaga)
}

func TestRepliesWithoutACauseAreMatchedByTheStepThatWaits(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	require.Equal(t, "ConfirmOrder", s.says("InventoryReserved", uuid.Nil, `{}`))
	s.says("OrderConfirmed", uuid.Nil, `{}`)
	s.is("CONFIRMED")
}

func TestTheSameInputGivesTheSameCommandIDs(t *testing.T) {
	t.Parallel()
	def := orderSaga(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := saga.Message{ID: uuid.New(), Type: "OrderCreated", Key: "7", Data: []byte(`{}`)}
	a, err := def.Apply(saga.State{}, m, now)
	require.NoError(t, err)
	b, err := def.Apply(saga.State{}, m, now)
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.Equal(t, uuid.Version(7), a.Commands[0].ID.Version())
	m.Key = "8"
	c, err := def.Apply(saga.State{}, m, now)
	require.NoError(t, err)
	require.NotEqual(t, a.Commands[0].ID, c.Commands[0].ID)
}

func TestACancellationThatOvertakesTheStartCancelsTheOrderOnceItBegins(t *testing.T) {
	t.Parallel()
	s := &story{t: t, def: orderSaga(t), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), sent: map[string][]saga.Command{}}
	require.Empty(t, s.says("OrderCancelRequested", uuid.Nil, `{"reason":"changed my mind"}`))
	s.is("AWAITING_START")
	require.Equal(t, "CancelOrder", s.says("OrderCreated", uuid.Nil, `{"item":"burger"}`))
	s.is("COMPENSATING")
	s.answers("CancelOrder", "OrderCancelled")
	s.is("CANCELLED")
	require.Equal(t, "changed my mind", s.state.Reason)
	s.input(saga.Message{ID: s.state.StartID, Type: "OrderCreated", Key: "7"})
	require.Equal(t, saga.StaleReply, s.last.Transition.Kind)
}
