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
		"no command": {func(s *saga.Builder[purchase]) { s.Step("pay").NoUndo("x") }, `step "pay": sends nothing`},
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
	require.ErrorContains(t, err, "version 1 is registered already")
}

// Golden files keep the diagrams readable: look at the difference, and write
// them anew with UPDATE_GOLDEN=1.
func TestADefinitionPrintsItself(t *testing.T) {
	t.Parallel()
	for name, def := range map[string]*saga.Definition{"order": orderSaga(t), "purchase": purchaseSaga(t)} {
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
