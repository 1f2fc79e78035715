package saga_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/sdk/saga"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestADefinitionThatCouldHangOrLeakIsRefusedNamingTheStep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		write func(*saga.Builder[purchase])
		want  string
	}{
		"no steps": {func(*saga.Builder[purchase]) {}, "has no steps"},
		"no deadline": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Send("Pay", body).Success("Paid").NoUndo("x")
		}, `step "pay": waits without a deadline`},
		"no compensation": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Send("Pay", body).Success("Paid").Wait(thrice, "silent")
		}, `step "pay": has no compensation`},
		"no success": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Send("Pay", body).Failure("Declined", nil).Wait(thrice, "silent").NoUndo("x")
		}, `step "pay": can never succeed`},
		"no command": {func(s *saga.Builder[purchase]) { s.Step("pay").NoUndo("x") }, `step "pay": does nothing`},
		"no reason to give up": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Send("Pay", body).Success("Paid").Wait(thrice, "").NoUndo("x")
		}, `step "pay": Wait needs the reason`},
		"no attempts": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Send("Pay", body).Success("Paid").Wait(saga.RetryPolicy{Timeout: 1}, "silent").NoUndo("x")
		}, `step "pay": 0 attempts`},
		"an undo without a deadline": {func(s *saga.Builder[purchase]) {
			s.Step("pay").AlreadyDone("x").Undo("Refund", body, "Refunded", saga.RetryPolicy{MaxAttempts: 1})
		}, `step "pay": undo: deadline of 0s`},
		"the same name twice": {func(s *saga.Builder[purchase]) {
			s.Step("pay").AlreadyDone("x").Undo("A", body, "B", thrice)
			s.Step("pay").AlreadyDone("x").Undo("A", body, "B", thrice)
		}, `step "pay": each step needs a name of its own`},
		"one reply for success and failure": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Send("Pay", body).Success("Paid").Failure("Paid", nil).Wait(thrice, "silent").NoUndo("x")
		}, `step "pay": reply "Paid"`},
		"a reply that starts the saga": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Send("Pay", body).Success("Start").Wait(thrice, "silent").NoUndo("x")
		}, `step "pay": reply "Start" also starts`},
		"an event without a deadline": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Await("Paid").NoUndo("x")
		}, `step "pay": awaits an event without a deadline: call Within`},
		"an event without its name": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Await("").Within(time.Hour, "late").NoUndo("x")
		}, `step "pay": can never succeed: Await needs the event`},
		"an event without compensation": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Await("Paid").Within(time.Hour, "late")
		}, `step "pay": has no compensation`},
		"an event that is asked for": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Await("Paid").Wait(thrice, "silent").NoUndo("x")
		}, `step "pay": Wait is for a step that sends a command`},
		"an event without a reason to give up": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Await("Paid").Within(time.Hour, "").NoUndo("x")
		}, `step "pay": Within needs the reason`},
		"one event for two steps": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Await("Paid").Within(time.Hour, "late").NoUndo("x")
			s.Step("again").Send("Pay", body).Success("Paid").Wait(thrice, "silent").NoUndo("x")
		}, `step "again": "Paid" is awaited by step "pay"`},
		"a command of Tell that is answered": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Tell("Pay", body).Success("Paid").NoUndo("x")
		}, `step "pay": waits for a reply to a command that it does not send, or only tells`},
		"a command of Tell without compensation": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Tell("Pay", body)
		}, `step "pay": has no compensation`},
		"two things in one step": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Tell("Pay", body).After(time.Hour).NoUndo("x")
		}, `step "pay": does two things`},
		"no time to pass": {func(s *saga.Builder[purchase]) { s.Step("rest").After(0) }, `step "rest": After 0s: it must be positive`},
		"time with an undo": {func(s *saga.Builder[purchase]) {
			s.Step("rest").After(time.Hour).Undo("A", body, "B", thrice)
		}, `step "rest": lets time pass: there is nothing to undo`},
		"no condition": {func(s *saga.Builder[purchase]) { s.Step("rest").If(nil).After(time.Hour) }, `step "rest": If needs a condition`},
		"a condition that empty data breaks": {func(s *saga.Builder[purchase]) {
			s.Step("rest").If(func(p purchase) bool { return p.Item[0] == 'x' }).After(time.Hour)
		}, `step "rest": If on empty data: the definition panicked`},
		"a deadline shorter than the steps": {func(s *saga.Builder[purchase]) {
			s.Within(29*time.Second, "late")
			s.Step("rest").After(20 * time.Second)
			s.Step("pay").Send("Pay", body).Success("Paid").Wait(thrice, "silent").NoUndo("x")
		}, "Within 29s is shorter than its steps may take if each is done in its first attempt: 30s"},
		"a deadline without a reason": {func(s *saga.Builder[purchase]) {
			s.Within(time.Hour, "")
			s.Step("rest").After(time.Second)
		}, "Within needs the reason"},
		"a reply that is kept by nothing": {func(s *saga.Builder[purchase]) {
			s.Step("pay").Send("Pay", body).SuccessKeeping("Paid", nil).Wait(thrice, "silent").NoUndo("x")
		}, `step "pay": reply "Paid" needs a function that keeps what it brings`},
		"an event that is kept by nothing": {func(s *saga.Builder[purchase]) {
			s.Step("pay").AwaitKeeping("Paid", nil).Within(time.Hour, "late").NoUndo("x")
		}, `step "pay": reply "Paid" needs a function that keeps what it brings`},
		"a start without a function": {func(s *saga.Builder[purchase]) {
			s.StartOn("Start", saga.From[purchase, purchase](nil))
			s.Step("rest").After(time.Hour)
		}, "no message starts it: call StartOn"},
		"an attribute twice": {func(s *saga.Builder[purchase]) {
			saga.Attribute(s, "item", func(p purchase) string { return p.Item })
			saga.Attribute(s, "item", func(p purchase) bool { return p.Item != "" })
		}, `attribute "item": each needs a name of its own`},
		"an attribute without a value": {func(s *saga.Builder[purchase]) {
			saga.Attribute[purchase, string](s, "item", nil)
		}, `attribute "item": needs a value`},
		"ends that cannot be told apart": {func(s *saga.Builder[purchase]) { s.Ends("OVER", "OVER") }, "both ends"},
		"an end called like a phase":     {func(s *saga.Builder[purchase]) { s.Ends("RUNNING", "OVER") }, `cannot be called "RUNNING"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := saga.Define[purchase]("bad", 1)
			s.StartOn("Start", saga.From(func(p purchase) purchase { return p }))
			c.write(s)
			_, err := s.Build()
			require.ErrorContains(t, err, c.want)
		})
	}
}

// A condition on data that has nothing in it is always the same.
func TestDefinition_AConditionNeedsData(t *testing.T) {
	t.Parallel()
	s := saga.Define[struct{}]("bad", 1)
	s.StartOn("Start", saga.From(func(d struct{}) struct{} { return d }))
	s.Step("rest").If(func(struct{}) bool { return true }).After(time.Hour)
	_, err := s.Build()
	require.ErrorContains(t, err, `step "rest": If decides by data, and the saga has none`)
}

func TestARunningSagaStaysOnItsVersion(t *testing.T) {
	t.Parallel()
	version := func(n int) *saga.Definition {
		s := saga.Define[purchase]("gift", n)
		s.StartOn("GiftOrdered", saga.From(func(p purchase) purchase { return p }))
		s.Step("wrap").Send("Wrap", body).Success("Wrapped").Wait(twice, "silent").NoUndo("paper is cheap")
		if n > 1 {
			s.Step("card").Send("WriteCard", body).Success("CardWritten").Wait(twice, "silent").NoUndo("so are cards")
		}
		def, err := s.Build()
		require.NoError(t, err)
		return def
	}
	now := time.Now()
	apply := func(r *saga.Registry, s saga.State, messageType string) saga.State {
		d, err := r.Apply(s, saga.Message{ID: uuid.New(), Type: messageType, Key: "1", Data: []byte("{}")}, now)
		require.NoError(t, err)
		return d[len(d)-1].State
	}
	first, err := saga.NewRegistry(version(1))
	require.NoError(t, err)
	old := apply(first, saga.State{}, "GiftOrdered")
	both, err := saga.NewRegistry(version(2), version(1))
	require.NoError(t, err)
	young := apply(both, saga.State{}, "GiftOrdered")
	require.Equal(t, 2, young.Version)
	require.Equal(t, saga.Completed, apply(both, old, "Wrapped").Phase)
	require.Equal(t, saga.Running, apply(both, young, "Wrapped").Phase)

	_, err = saga.NewRegistry(version(1), version(1))
	require.ErrorContains(t, err, "version 1 is registered already: give this one another version, or a name of its own")
	_, err = saga.NewRegistry(nil)
	require.ErrorContains(t, err, "a saga definition is nil: look at the error of its Build")
}

// Golden files keep the diagrams readable: look at the difference, and write
// them again with UPDATE_GOLDEN=1.
func TestADefinitionPrintsItself(t *testing.T) {
	t.Parallel()
	for name, def := range map[string]*saga.Definition{"order": orderSaga(t), "purchase": purchaseSaga(t), "trip": trip(t)} {
		for ext, got := range map[string]string{"mmd": def.Mermaid(), "svg": def.SVG()} {
			file := filepath.Join("testdata", name+"."+ext)
			if os.Getenv("UPDATE_GOLDEN") != "" {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		}
	}
}
