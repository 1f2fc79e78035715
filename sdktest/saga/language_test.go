package saga_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/sagatest"
)

// booking is the data of a saga that uses all of the language.
type booking struct {
	Hotel string `json:"hotel"`
	Car   bool   `json:"car"`
	Paid  string `json:"paid,omitempty"`
}

func book(saga.Call[booking]) (any, error) { return struct{}{}, nil }

func wantsCar(b booking) bool { return b.Car }

// trip books a hotel and, if one is wanted, a car; waits for an approval and a payment that others
// see to, and lets an hour pass in which the traveller can think again; then it issues the tickets,
// and sends them.
func trip(t testing.TB) *saga.Definition {
	t.Helper()
	s := saga.Define[booking]("trip", 1)
	s.StartOn("TripPlanned", saga.From(func(b booking) booking { return b }))
	s.CancelOn("TripCancelRequested", time.Hour, nil)
	s.Ends("BOOKED", "CANCELLED")
	s.Within(72*time.Hour, "the trip was not booked in three days")
	saga.Attribute(s, "hotel", func(b booking) string { return b.Hotel })
	saga.Attribute(s, "paid", func(b booking) bool { return b.Paid != "" })
	s.Step("hotel").Send("BookHotel", book).Success("HotelBooked").Failure("HotelFull", nil).
		Wait(twice, "the hotel did not answer").Undo("CancelHotel", book, "HotelCancelled", twice)
	s.Parallel("car").If(wantsCar).Send("BookCar", book).Success("CarBooked").
		Wait(twice, "the car rental did not answer").Undo("CancelCar", book, "CarCancelled", twice)
	s.Step("approval").Await("TripApproved").Failure("TripDeclined", nil).
		Within(24*time.Hour, "nobody approved the trip").NoUndo("an approval changes nothing")
	s.Parallel("payment").AwaitKeeping("PaymentCaptured", func(b *booking, m saga.Message) (err error) {
		b.Paid, err = saga.From(func(p struct{ Payment string }) string { return p.Payment })(m)
		return err
	}).Within(36*time.Hour, "nobody paid the trip").
		Undo("RefundPayment", func(c saga.Call[booking]) (any, error) { return c.Data.Paid, nil }, "PaymentRefunded", twice)
	s.Step("reflection").After(time.Hour)
	s.Step("tickets").Send("IssueTickets", book).Success("TicketsIssued").RetryForever(thrice).NoUndo("cancelling voids them")
	s.Step("letter").Tell("SendTickets", book).NoUndo("a letter cannot be taken back")
	def, err := s.Build()
	require.NoError(t, err)
	return def
}

// booked is a trip that waits for its approval and its payment.
func booked(t *testing.T) *sagatest.Saga {
	t.Helper()
	s := sagatest.Start(t, trip(t), booking{Hotel: "Ritz"})
	s.Reply("BookHotel", "HotelBooked", nil).SendsNothing()
	return s
}

func TestLanguage_ASagaReadsFromTopToBottom(t *testing.T) {
	t.Parallel()
	s := sagatest.Start(t, trip(t), booking{Hotel: "Ritz", Car: true})
	s.Reply("BookHotel", "HotelBooked", nil).SendsNothing()
	s.Reply("BookCar", "CarBooked", nil).SendsNothing()
	s.Event("TripApproved", nil).SendsNothing()
	s.Event("PaymentCaptured", `{"payment":"p-1"}`).SendsNothing()
	s.Skip(59 * time.Minute).SendsNothing()
	s.Skip(time.Minute).Sends("IssueTickets")
	s.Reply("IssueTickets", "TicketsIssued", nil).Sends("SendTickets")
	s.Is("BOOKED")
	s.Sent("BookHotel", "BookCar", "IssueTickets", "SendTickets")

	s.Event("TripCancelRequested", nil).Sends("RefundPayment")
	s.Reply("RefundPayment", "PaymentRefunded", nil).Sends("CancelCar")
	s.Reply("CancelCar", "CarCancelled", nil).Sends("CancelHotel")
	s.Reply("CancelHotel", "HotelCancelled", nil).SendsNothing()
	s.Is("CANCELLED")
	require.Equal(t, "p-1", s.Commands("RefundPayment")[0].Body, "what an event brought is there for the undo")
}

func TestIf_AStepThatIsNotNeededIsSkippedAndNeverUndone(t *testing.T) {
	t.Parallel()
	s := booked(t)
	s.Step("car", saga.Skipped)
	s.Event("TripDeclined", nil).Sends("CancelHotel")
	s.Reply("CancelHotel", "HotelCancelled", nil).SendsNothing()
	s.Is("CANCELLED")
	s.Sent("BookHotel", "CancelHotel")
}

func TestIf_AStageOfWhichNothingIsNeededIsPassed(t *testing.T) {
	t.Parallel()
	s := saga.Define[booking]("conditional", 1)
	s.StartOn("Start", saga.From(func(b booking) booking { return b }))
	s.Step("before").If(wantsCar).AlreadyDone("x").Undo("U", book, "Undone", twice)
	s.Step("car").If(wantsCar).Send("BookCar", book).Success("CarBooked").Wait(twice, "silent").NoUndo("x")
	def, err := s.Build()
	require.NoError(t, err)
	without := sagatest.Start(t, def, booking{})
	without.Is("COMPLETED")
	without.Sent()
	with := sagatest.Start(t, def, booking{Car: true})
	with.Step("before", saga.Done)
	with.Reply("BookCar", "CarBooked", nil)
	with.Is("COMPLETED")
}

func TestTell_IsSentOnceAndNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := saga.Define[booking]("notice", 1)
	s.StartOn("Start", saga.From(func(b booking) booking { return b }))
	s.Step("notice").Tell("Notify", book).Undo("Revoke", book, "Revoked", twice)
	s.Step("hotel").Send("BookHotel", book).Success("HotelBooked").Failure("HotelFull", nil).Wait(twice, "silent").NoUndo("x")
	def, err := s.Build()
	require.NoError(t, err)
	told := sagatest.Start(t, def, nil)
	told.Sent("Notify", "BookHotel")
	require.Len(t, told.Waits(), 1)
	told.Reply("BookHotel", "HotelFull", nil).Sends("Revoke")
	told.Is("COMPENSATING")
	told.Reply("Revoke", "Revoked", nil).SendsNothing()
	told.Is("CANCELLED")
}

func TestAwait_AnEventEndsTheWaitWhateverCausedIt(t *testing.T) {
	t.Parallel()
	s := booked(t)
	require.Equal(t, saga.ForEvent, s.Waits()[0].For)
	s.Input(s.Message("TripApproved", uuid.New(), nil)).SendsNothing()
	s.Step("approval", saga.Done)
	require.Len(t, s.Waits(), 1)
}

func TestAwait_AnEventThatComesBeforeItsTurnCounts(t *testing.T) {
	t.Parallel()
	s := sagatest.Start(t, trip(t), booking{Hotel: "Ritz"})
	s.Event("PaymentCaptured", `{"payment":"p-1"}`).SendsNothing()
	s.Event("TripApproved", nil).SendsNothing()
	s.Reply("BookHotel", "HotelBooked", nil).SendsNothing()
	require.Equal(t, saga.ForTime, s.Waits()[0].For, "approval and payment are not awaited again")
	s.Event("TripCancelRequested", nil).Sends("RefundPayment")
}

func TestAwait_ARefusalBeforeItsTurnUndoesTheSagaAtOnce(t *testing.T) {
	t.Parallel()
	s := sagatest.Start(t, trip(t), booking{Hotel: "Ritz"})
	s.Event("TripDeclined", nil).SendsNothing()
	s.Is("COMPENSATING")
	s.Reply("BookHotel", "HotelBooked", nil).Sends("CancelHotel")
}

func TestAwait_AnEventAgainOrAfterTheEndIsStale(t *testing.T) {
	t.Parallel()
	s := booked(t)
	s.Event("TripApproved", nil)
	s.Event("TripApproved", nil).SendsNothing()
	s.Event("TripDeclined", nil).SendsNothing()
	require.Equal(t, 2, s.State().Stale)
	s.Is("RUNNING")
	s.Event("TripCancelRequested", nil).Sends("CancelHotel")
	s.Reply("CancelHotel", "HotelCancelled", nil)
	s.Event("TripApproved", nil).SendsNothing()
	s.Is("CANCELLED")
}

func TestAwait_AnEventThatDoesNotComeIsGivenUpAndNotUndone(t *testing.T) {
	t.Parallel()
	s := booked(t)
	s.Event("TripApproved", nil)
	s.Skip(36 * time.Hour).Sends("CancelHotel")
	s.Because("nobody paid the trip")
	require.Empty(t, s.Commands("RefundPayment"), "nothing was paid as far as anybody knows")
}

func TestAwait_AnEventAfterTheSagaTurnedBackIsUndoneOnce(t *testing.T) {
	t.Parallel()
	for name, turnBack := range map[string]func(*sagatest.Saga){
		"while it was awaited": func(s *sagatest.Saga) { s.Event("TripDeclined", nil) },
		"after it was given up": func(s *sagatest.Saga) {
			s.Event("TripApproved", nil)
			s.Skip(36 * time.Hour)
		},
		"forced": func(s *sagatest.Saga) {
			s.Input(saga.Force{Operator: saga.Operator{Reason: "x"}, End: "CANCELLED"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := booked(t)
			turnBack(s)
			if s.State().Phase == saga.Compensating {
				s.Reply("CancelHotel", "HotelCancelled", nil)
			}
			s.Is("CANCELLED")
			s.Event("PaymentCaptured", `{"payment":"p-1"}`).Sends("RefundPayment")
			s.Is("COMPENSATING")
			s.Reply("RefundPayment", "PaymentRefunded", nil).SendsNothing()
			s.Is("CANCELLED")
			s.Event("PaymentCaptured", `{"payment":"p-1"}`).SendsNothing()
			require.Equal(t, "p-1", s.Commands("RefundPayment")[0].Body)
		})
	}
	t.Run("before its turn", func(t *testing.T) {
		t.Parallel()
		s := sagatest.Start(t, trip(t), booking{})
		s.Reply("BookHotel", "HotelFull", nil).SendsNothing()
		s.Is("CANCELLED")
		s.Event("PaymentCaptured", `{"payment":"p-1"}`).Sends("RefundPayment")
	})
}

func TestAwait_BeforeTheSagaHasBegunItIsForNobody(t *testing.T) {
	t.Parallel()
	s := sagatest.New(t, trip(t))
	s.Refuses(s.Message("PaymentCaptured", uuid.Nil, nil), saga.ErrUnknownSaga)
	s.Event("TripCancelRequested", nil)
	s.Is("AWAITING_START")
	s.Refuses(s.Message("PaymentCaptured", uuid.Nil, nil), saga.ErrUnknownSaga)
}

func TestRoute_AnEventIsForEverySagaThatAwaitsIt(t *testing.T) {
	t.Parallel()
	points := saga.Define[booking]("points", 1)
	points.StartOn("PointsPromised", saga.From(func(b booking) booking { return b }))
	points.Step("payment").Await("PaymentCaptured").Within(time.Hour, "nobody paid").NoUndo("x")
	points.Step("credit").Tell("CreditPoints", book).NoUndo("x")
	other, err := points.Build()
	require.NoError(t, err)
	r := registry(t, trip(t), other)
	now := time.Now()
	exist := []saga.State{
		last2(t, r, saga.State{}, message("TripPlanned"), now).State,
		last2(t, r, saga.State{}, message("PointsPromised"), now).State,
	}
	refs, err := r.Route(exist, message("PaymentCaptured"))
	require.NoError(t, err)
	require.Equal(t, []saga.Ref{exist[0].Ref(), exist[1].Ref()}, refs)
	credited := last2(t, r, exist[1], message("PaymentCaptured"), now)
	require.Equal(t, saga.Completed, credited.State.Phase)
	require.Equal(t, "CreditPoints", credited.Commands[0].Type)
}

func TestAfter_TimePassesUnlessTheSagaTurnsBack(t *testing.T) {
	t.Parallel()
	reflecting := func(t *testing.T) *sagatest.Saga {
		s := booked(t)
		s.Event("TripApproved", nil)
		s.Event("PaymentCaptured", nil)
		require.Equal(t, saga.ForTime, s.Waits()[0].For)
		return s
	}
	s := reflecting(t)
	s.SkipToDeadline().Sends("IssueTickets")
	require.Equal(t, saga.TimePassed, s.History()[len(s.History())-1].Kind)

	s = reflecting(t)
	s.Event("TripCancelRequested", nil).Sends("RefundPayment")
	s.Step("reflection", saga.Skipped)
	s.Reply("RefundPayment", "PaymentRefunded", nil)
	s.Reply("CancelHotel", "HotelCancelled", nil)
	s.Is("CANCELLED")
	s.Sent("BookHotel", "RefundPayment", "CancelHotel")
}

func TestWithin_ASagaThatHasNotCompletedInItsTimeIsUndone(t *testing.T) {
	t.Parallel()
	s := booked(t)
	s.Event("TripApproved", nil)
	s.Event("PaymentCaptured", nil)
	s.Skip(time.Hour).Sends("IssueTickets")
	for s.State().Phase == saga.Running {
		s.SkipToDeadline()
	}
	require.Equal(t, 72*time.Hour, s.Now().Sub(s.State().StartedAt))
	s.Because("the trip was not booked in three days")
	s.SkipToDeadline().Sends("RefundPayment") // the tickets were waited for once more
	require.Zero(t, s.State().CompleteBy)

	done := booked(t)
	done.Event("TripApproved", nil)
	done.Event("PaymentCaptured", nil)
	done.Skip(time.Hour)
	done.Reply("IssueTickets", "TicketsIssued", nil)
	_, waits := done.State().Deadline()
	require.False(t, waits, "a saga that has completed has met its deadline")
}

func TestIntervene_WhatNobodyWasAskedForCannotBeRetried(t *testing.T) {
	t.Parallel()
	by := saga.Operator{Actor: "ann", Reason: "why not"}
	s := booked(t)
	s.Refuses(saga.RetryNow{Operator: by}, saga.ErrNotWaiting)
	s.Input(saga.MoveDeadline{Operator: by, Step: "approval", To: s.Now().Add(48 * time.Hour)})
	s.Input(saga.RevokeDeadline{Operator: by, Step: "payment"})
	s.Skip(47 * time.Hour).SendsNothing()
	s.Is("RUNNING")
	s.Event("TripApproved", nil)
	s.Event("PaymentCaptured", nil)
	s.Refuses(saga.RevokeDeadline{Operator: by, Step: "reflection"}, saga.ErrNotWaiting)
	s.Input(saga.MoveDeadline{Operator: by, Step: "reflection", To: s.Now()})
	s.SkipToDeadline().Sends("IssueTickets")
	s.Input(saga.MoveDeadline{Operator: by, To: s.Now().Add(time.Second)})
	s.Skip(time.Second)
	s.Because("the trip was not booked in three days")
}

func TestForce_TheCompletedEndAsksConditionsAndAwaitsNothing(t *testing.T) {
	t.Parallel()
	s := sagatest.Start(t, trip(t), booking{})
	s.Input(saga.Force{Operator: saga.Operator{Reason: "by hand"}, End: "BOOKED"}).Sends("IssueTickets", "SendTickets")
	s.Step("car", saga.Skipped)
	s.Step("approval", saga.Done)
	s.Step("payment", saga.Assumed)
	s.Step("reflection", saga.Done)
	s.Event("PaymentCaptured", nil).SendsNothing()
	s.Is("BOOKED")
}

func TestAttribute_FollowsTheData(t *testing.T) {
	t.Parallel()
	s := booked(t)
	require.Equal(t, map[string]string{"hotel": "Ritz", "paid": "false"}, s.Attributes())
	s.Event("PaymentCaptured", `{"payment":"p-1"}`)
	require.Equal(t, map[string]string{"hotel": "Ritz", "paid": "true"}, s.Attributes())
}

// What is stored of a saga is told apart by what its definition does, not by how long it takes.
func TestFingerprint_KnowsWhatAStepDoes(t *testing.T) {
	t.Parallel()
	of := func(write func(*saga.Builder[booking])) string {
		s := saga.Define[booking]("one", 1)
		s.StartOn("Start", saga.From(func(b booking) booking { return b }))
		write(s)
		def, err := s.Build()
		require.NoError(t, err)
		return def.Fingerprint()
	}
	same := of(func(s *saga.Builder[booking]) { s.Step("a").After(time.Hour) })
	require.Equal(t, same, of(func(s *saga.Builder[booking]) {
		s.Step("a").After(time.Minute)
		saga.Attribute(s, "hotel", func(b booking) string { return b.Hotel })
	}))
	for name, write := range map[string]func(*saga.Builder[booking]){
		"a condition":    func(s *saga.Builder[booking]) { s.Step("a").If(wantsCar).After(time.Hour) },
		"a deadline":     func(s *saga.Builder[booking]) { s.Step("a").After(time.Hour); s.Within(time.Hour, "late") },
		"another action": func(s *saga.Builder[booking]) { s.Step("a").Tell("A", book).NoUndo("x") },
		"an event":       func(s *saga.Builder[booking]) { s.Step("a").Await("A").Within(time.Hour, "late").NoUndo("x") },
	} {
		require.NotEqual(t, same, of(write), name)
	}
}
