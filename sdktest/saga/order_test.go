package saga_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/sagatest"
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

// story is a saga under test whose commands are written as one line.
type story struct {
	*sagatest.Saga
	last sagatest.Outcome
}

func begin(t *testing.T, def *saga.Definition) *story {
	t.Helper()
	s := unbegun(t, def)
	s.says(def.Describe().StartOn, uuid.Nil, `{"item":"burger"}`)
	return s
}

func unbegun(t *testing.T, def *saga.Definition) *story {
	return &story{Saga: sagatest.New(t, def)}
}

// sends are the types of the commands that an input led to.
func (s *story) sends(o sagatest.Outcome) string {
	s.last = o
	return strings.Join(o.Types(), " ")
}

func (s *story) input(in saga.Input) string { return s.sends(s.Input(in)) }

// says delivers a message and returns the types of the commands that it led to.
func (s *story) says(messageType string, cause uuid.UUID, data string) string {
	return s.input(s.Message(messageType, cause, data))
}

// answers delivers a reply to the latest command of the given type.
func (s *story) answers(command, reply string) string {
	return s.sends(s.Reply(command, reply, refusal{"none left"}))
}

func (s *story) answersNth(n int, command, reply string) string {
	return s.sends(s.ReplyTo(s.Commands(command)[n-1], reply, refusal{"none left"}))
}

// waits lets the time of the next deadline come, and acts on all that is overdue.
func (s *story) waits() string { return s.sends(s.SkipToDeadline()) }

// line is the last line of the history that the last input led to.
func (s *story) line() saga.Transition {
	if len(s.last.Transitions) == 0 {
		return saga.Transition{}
	}
	return s.last.Transitions[len(s.last.Transitions)-1]
}

func TestAnOrderIsReservedThenConfirmed(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	require.Len(t, s.Commands("ReserveInventory"), 1)
	require.Equal(t, "ConfirmOrder", s.answers("ReserveInventory", "InventoryReserved"))
	s.Is("RUNNING")
	require.Empty(t, s.answers("ConfirmOrder", "OrderConfirmed"))
	s.Is("CONFIRMED")
	_, waits := s.State().Deadline()
	require.False(t, waits)
}

func TestARejectedOrderIsCancelledWithTheReasonAndNothingIsReleased(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	require.Equal(t, "CancelOrder", s.answers("ReserveInventory", "InventoryRejected"))
	s.Is("COMPENSATING")
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("CANCELLED")
	require.Equal(t, "none left", s.State().Reason)
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
	s.Is("CANCELLED")
	require.Equal(t, "none left", s.State().Reason)
}

func TestASilentInventoryIsAskedAgainWithGrowingPatienceThenGivenUp(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	start := s.Now()
	require.Equal(t, "ReserveInventory", s.waits())
	require.Equal(t, 10*time.Second, s.Now().Sub(start))
	require.Equal(t, "ReserveInventory", s.waits())
	require.Equal(t, 30*time.Second, s.Now().Sub(start))
	require.Equal(t, "ReleaseInventory CancelOrder", s.waits(), "the release is sent, but not waited for")
	require.Equal(t, 70*time.Second, s.Now().Sub(start))
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("COMPENSATING")
	s.answers("ReleaseInventory", "InventoryReleased")
	s.Is("CANCELLED")
	require.Equal(t, "inventory did not answer", s.State().Reason)
}

func TestAReplyToAnEarlierAttemptCountsWhileTheStepWaits(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.waits()
	require.Equal(t, "ConfirmOrder", s.answersNth(1, "ReserveInventory", "InventoryReserved"))
	require.Empty(t, s.answersNth(2, "ReserveInventory", "InventoryReserved"))
	require.Equal(t, saga.StaleReply, s.line().Kind)
	require.Equal(t, 1, s.State().Stale)
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
		s.Is("CANCELLED")
		require.Equal(t, "ReleaseInventory", s.answersNth(1, "ReserveInventory", "InventoryReserved"))
		require.Equal(t, saga.LateSuccess, s.line().Kind)
		s.Is("COMPENSATING")
		require.Empty(t, s.answersNth(2, "ReserveInventory", "InventoryReserved"))
		s.answers("ReleaseInventory", "InventoryReleased")
		s.Is("CANCELLED")
		require.Empty(t, s.answersNth(3, "ReserveInventory", "InventoryReserved"))
		s.Is("CANCELLED")
	})
	t.Run("while the blind release is on its way", func(t *testing.T) {
		t.Parallel()
		s := gaveUp(t)
		s.answers("CancelOrder", "OrderCancelled")
		require.Equal(t, "ReleaseInventory", s.answersNth(1, "ReserveInventory", "InventoryReserved"))
		s.answersNth(1, "ReleaseInventory", "InventoryReleased")
		s.Is("COMPENSATING") // the first release may have found nothing
		s.answersNth(2, "ReleaseInventory", "InventoryReleased")
		s.Is("CANCELLED")
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
	s.Is("CANCELLED")
	require.Equal(t, "changed my mind", s.State().Reason)
	require.Empty(t, s.says("OrderCancelRequested", uuid.Nil, `{}`), "a cancelled order stays cancelled")
	s.Is("CANCELLED")
	require.Len(t, s.Commands("CancelOrder"), 1)
}

func TestACancellationWhileInventoryIsSilentAsksNoMore(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.says("OrderCancelRequested", uuid.Nil, `{}`)
	require.Equal(t, "ReleaseInventory CancelOrder", s.waits())
	require.Len(t, s.Commands("ReserveInventory"), 1)
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
			s.Delay(c.after)
			require.Equal(t, c.sends, s.says("OrderCancelRequested", uuid.Nil, `{}`))
			if c.sends == "RefuseCancel" {
				s.Is("CONFIRMED")
				require.Contains(t, s.line().Note, "refused")
				return
			}
			require.Equal(t, "CancelOrder", s.answers("ReleaseInventory", "InventoryReleased"))
			s.answers("CancelOrder", "OrderCancelled")
			s.Is("CANCELLED")
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
	s.Is("CONFIRMED")
}

func TestAnUndoThatIsNotAnsweredIsStuckInSightAndKeepsTrying(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.answers("ReserveInventory", "InventoryRejected")
	require.Equal(t, "CancelOrder", s.waits())
	s.Is("COMPENSATING")
	require.Equal(t, "CancelOrder", s.waits())
	s.Is("COMPENSATION_STUCK")
	require.Equal(t, "CancelOrder", s.waits())
	s.Is("COMPENSATION_STUCK")
	s.answersNth(1, "CancelOrder", "OrderCancelled")
	s.Is("CANCELLED")
}

func TestRepliesThatDoNotFitAreRecordedAndNotApplied(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	s.says("InventoryReserved", uuid.New(), `{}`)                                         // a command we never sent
	s.says("OrderConfirmed", uuid.Nil, `{}`)                                              // a step whose turn has not come
	s.says("InventoryReleased", uuid.Nil, `{}`)                                           // an undo that was not asked for
	s.input(saga.Message{ID: s.State().StartID, Type: "OrderCreated", Key: sagatest.Key}) // begun already
	require.Equal(t, 4, s.State().Stale)
	s.answers("ReserveInventory", "InventoryReserved")
	s.answers("ReserveInventory", "InventoryRejected") // contradicts what was said
	require.Equal(t, 5, s.State().Stale)
	s.Is("RUNNING")
	unbegun(t, orderSaga(t)).Refuses(saga.Message{Type: "InventoryReserved", Key: "8"}, saga.ErrUnknownSaga)
}

func TestRepliesWithoutACauseAreMatchedByTheStepThatWaits(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	require.Equal(t, "ConfirmOrder", s.says("InventoryReserved", uuid.Nil, `{}`))
	s.says("OrderConfirmed", uuid.Nil, `{}`)
	s.Is("CONFIRMED")
}

func TestTheSameInputGivesTheSameCommandIDs(t *testing.T) {
	t.Parallel()
	def := orderSaga(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := saga.Message{ID: uuid.New(), Type: "OrderCreated", Key: sagatest.Key, Data: []byte(`{}`)}
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
	s := unbegun(t, orderSaga(t))
	require.Empty(t, s.says("OrderCancelRequested", uuid.Nil, `{"reason":"changed my mind"}`))
	s.Is("AWAITING_START")
	require.Equal(t, "CancelOrder", s.says("OrderCreated", uuid.Nil, `{"item":"burger"}`))
	s.Is("COMPENSATING")
	s.answers("CancelOrder", "OrderCancelled")
	s.Is("CANCELLED")
	require.Equal(t, "changed my mind", s.State().Reason)
	s.input(saga.Message{ID: s.State().StartID, Type: "OrderCreated", Key: sagatest.Key})
	require.Equal(t, saga.StaleReply, s.line().Kind)
}
