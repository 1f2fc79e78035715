package saga_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"waybill.example/sdk/saga"
)

func TestExplore_TheOrderSagaEndsWhateverComes(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	e := orderSaga(t).Explore(s.State(), s.Now(), 5000)
	require.Empty(t, e.Problems)
	require.False(t, e.Truncated)
	require.Greater(t, e.States, 100)
}

// Whatever the definition, and wherever its saga stands: no future of it hangs, leaks or is
// refused.
func TestExplore_NoFutureOfAnySagaIsAProblem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := &run{
			t: t, def: anyDefinition(t), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			ids: map[uuid.UUID]bool{}, effects: map[string]bool{}, silent: map[string]bool{},
		}
		for _, name := range r.def.StepNames() {
			r.effects[name] = true
		}
		r.apply(saga.Message{ID: uuid.New(), Type: "Start", Key: "1", Data: []byte(`{}`)})
		for range rapid.IntRange(0, 8).Draw(t, "events") {
			switch {
			case rapid.IntRange(0, 3).Draw(t, "intervene") == 0:
				r.intervene()
			case len(r.commands) > 0 && rapid.Bool().Draw(t, "answer"):
				c := r.commands[len(r.commands)-1]
				how := "done"
				if c.Undo {
					how = "undone"
				}
				r.answer(c, how)
			default:
				r.passTime()
			}
		}
		if r.forced {
			return
		}
		e := r.def.Explore(r.state, r.now, 300)
		require.Empty(t, e.Problems)
		require.NoError(t, r.def.Readable(r.state))
	})
}

// A state that a changed definition cannot end is found, with the way to it.
func TestExplore_FindsALeakAndSaysHowItComesToBe(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	state := s.State()
	state.Steps = append([]saga.StepState(nil), state.Steps...)
	state.Steps[0].Status = saga.Failed // the order was accepted; a broken program would leave it so
	state.Phase, state.Reason = saga.Completed, ""
	e := orderSaga(t).Explore(state, s.Now(), 100)
	require.NotEmpty(t, e.Problems)
	require.Equal(t, "leak", e.Problems[0].Kind)
}

func TestReadable_SaysWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	require.NoError(t, orderSaga(t).Readable(s.State()))
	for want, change := range map[string]func(*saga.State){
		"2 steps, not 3":              func(s *saga.State) { s.Steps = s.Steps[:2] },
		"does not decode":             func(s *saga.State) { s.Data = []byte(`{"item":7}`) },
		"a command that was not sent": func(s *saga.State) { s.Steps[1].Sent = nil },
		"the step has no undo": func(s *saga.State) {
			s.Steps[2] = saga.StepState{Status: saga.Undoing, UndoSent: []uuid.UUID{uuid.New()}}
		},
		"waits for nothing":            func(s *saga.State) { s.Steps[0].Status = saga.Waiting },
		"OrderLost, which is held for": func(s *saga.State) { s.Held = []saga.Message{{Type: "OrderLost"}} },
	} {
		state := s.State()
		state.Steps = append([]saga.StepState(nil), state.Steps...)
		change(&state)
		require.ErrorContains(t, orderSaga(t).Readable(state), want)
	}
}

func TestReadable_TriesTheCommandsThatMayBeSentNext(t *testing.T) {
	t.Parallel()
	b := saga.Define[purchase]("broken", 1)
	b.StartOn("Start", saga.From(func(p purchase) purchase { return p }))
	b.Step("pay").Send("Pay", func(c saga.Call[purchase]) (any, error) {
		return strings.Repeat("x", len(c.Data.Item)-1), nil
	}).Success("Paid").Wait(twice, "x").NoUndo("x")
	def, err := b.Build()
	require.NoError(t, err)
	d, err := def.Apply(saga.State{}, saga.Message{ID: uuid.New(), Type: "Start", Key: "1", Data: []byte(`{"item":"a"}`)}, time.Unix(1, 0))
	require.NoError(t, err)
	require.NoError(t, def.Readable(d.State))
	d.State.Data = []byte(`{}`)
	require.ErrorContains(t, def.Readable(d.State), "build Pay")
}
