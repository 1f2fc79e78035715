package saga_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"waybill.example/sdk/saga"
)

// anyDefinition draws a definition of up to three stages with up to three steps each, of every kind
// that there is: some are asked, some only sent, some await an event or let time pass, some have a
// condition, some no undo, and some insist on an answer.
func anyDefinition(t *rapid.T) *saga.Definition {
	s := saga.Define[purchase]("any", 1)
	s.StartOn("Start", saga.From(func(p purchase) purchase { return p }))
	s.CancelOn("Cancel", time.Hour, nil)
	wait := func() saga.RetryPolicy {
		return saga.RetryPolicy{
			Timeout:     time.Duration(rapid.IntRange(1, 60).Draw(t, "within")) * time.Second,
			MaxAttempts: rapid.IntRange(1, 4).Draw(t, "attempts"),
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "deadline") == 0 {
		s.Within(time.Duration(rapid.IntRange(4, 30).Draw(t, "minutes"))*time.Minute, "it took too long")
	}
	n := 0
	for range rapid.IntRange(1, 3).Draw(t, "stages") {
		for i := range rapid.IntRange(1, 3).Draw(t, "steps") {
			name := fmt.Sprintf("s%d", n)
			n++
			step := s.Parallel
			if i == 0 {
				step = s.Step
			}
			one := step(name)
			if rapid.IntRange(0, 4).Draw(t, "conditional") == 0 {
				one.If(func(p purchase) bool { return p.Item != "" })
			}
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0:
				one.AlreadyDone("before").Undo("undo-"+name, body, "undone-"+name, wait())
				continue
			case 1:
				one.After(wait().Timeout)
				continue
			case 2:
				one.Tell("do-"+name, body)
			case 3, 4:
				one.Await("event-"+name).Failure("refused-"+name, nil).Within(wait().Timeout, name+" did not happen")
			case 5:
				one.Send("do-"+name, body).Success("done-"+name).Failure("failed-"+name, nil).RetryLater("busy-" + name).RetryForever(wait())
			default:
				one.Send("do-"+name, body).Success("done-"+name).Failure("failed-"+name, nil).RetryLater("busy-"+name).
					Wait(wait(), name+" did not answer")
			}
			if rapid.IntRange(0, 3).Draw(t, "noUndo") == 0 {
				one.NoUndo("it changes nothing")
			} else {
				one.Undo("undo-"+name, body, "undone-"+name, wait())
			}
		}
	}
	def, err := s.Build()
	require.NoError(t, err)
	return def
}

// run is one saga under test with everything that was ever sent for it.
type run struct {
	t        *rapid.T
	def      *saga.Definition
	state    saga.State
	now      time.Time
	commands []saga.Command
	ids      map[uuid.UUID]bool
	effects  map[string]bool // steps whose success was applied, or undone as late
	silent   map[string]bool // steps that were given up
	forced   bool
	preview  bool // also hold what a preview says against what happens
	expected []saga.Future
}

func (r *run) apply(in saga.Input) saga.Decision {
	before, err := json.Marshal(r.state)
	require.NoError(r.t, err)
	decisions, err := r.decide(in)
	if r.preview {
		r.holdPreview(in, decisions, err)
	}
	for _, refusal := range []error{
		saga.ErrEnded, saga.ErrNotWaiting, saga.ErrNoEffect, saga.ErrSuspended, saga.ErrCannotResolve, saga.ErrNoRestart, saga.ErrNoStep,
	} {
		if errors.Is(err, refusal) {
			return saga.Decision{}
		}
	}
	require.NoError(r.t, err)
	after, err := json.Marshal(r.state)
	require.NoError(r.t, err)
	require.Equal(r.t, string(before), string(after), "Apply changed its argument")
	again, err := r.decide(in)
	require.NoError(r.t, err)
	require.Equal(r.t, decisions, again, "Apply is not a function of its arguments")
	var last saga.Decision
	for _, d := range decisions {
		r.hold(in, d)
		r.state, last = d.State, d
		r.commands = append(r.commands, d.Commands...)
		require.Empty(r.t, d.Refused, "what was held cannot be applied")
	}
	return last
}

// holdPreview holds that what an intervention's preview says is what is decided, and that what
// comes next is among the futures of the preview before it.
func (r *run) holdPreview(in saga.Input, decisions []saga.Decision, refused error) {
	registry, err := saga.NewRegistry(r.def)
	require.NoError(r.t, err)
	if _, intervenes := in.(saga.Intervention); intervenes {
		p, err := registry.Preview(r.state, in, r.now, 1)
		require.Equal(r.t, refused, err)
		if err == nil {
			require.Equal(r.t, decisions, p.Decisions)
		}
		r.expected = p.Then
		return
	}
	var sends []string
	phase := r.state.Phase
	for _, d := range decisions {
		phase = d.State.Phase
		for _, c := range d.Commands {
			sends = append(sends, c.Type)
		}
	}
	for _, f := range r.expected {
		m, isMessage := in.(saga.Message)
		if isMessage && f.When == m.Type && f.Answers == m.CausationID {
			require.Equal(r.t, r.def.StateName(phase), f.State)
			require.Equal(r.t, sends, f.Sends)
		}
	}
	r.expected = nil
}

// decide asks the engine; what happens while a saga is suspended is the registry's business.
func (r *run) decide(in saga.Input) ([]saga.Decision, error) {
	if r.state.Phase != saga.Suspended {
		d, err := r.def.Apply(r.state, in, r.now)
		return []saga.Decision{d}, err
	}
	registry, err := saga.NewRegistry(r.def)
	require.NoError(r.t, err)
	return registry.Apply(r.state, in, r.now)
}

// hold checks what must be true of every decision.
func (r *run) hold(in saga.Input, d saga.Decision) {
	if !d.Changed() {
		require.Equal(r.t, r.state, d.State)
		return
	}
	if m, ok := in.(saga.Message); ok {
		require.Equal(r.t, r.state.Revision+1, d.State.Revision, "%s left no transition", m.Type)
	}
	if d.Transition.Kind == saga.StaleReply {
		require.Empty(r.t, d.Commands, "a stale reply sent something")
		require.Equal(r.t, r.state.Phase, d.State.Phase)
		require.Equal(r.t, r.state.Steps, d.State.Steps)
	}
	if d.State.Phase == saga.Suspended {
		require.Empty(r.t, d.Commands, "a suspended saga sent something")
		_, waits := d.State.Deadline()
		require.False(r.t, waits, "a suspended saga has a deadline")
		return
	}
	_, waits := d.State.Deadline()
	require.Equal(r.t, !d.State.Phase.Ended(), waits, "a saga that is %s has a deadline: %t", d.State.Phase, waits)
	if cause := d.Transition.Cause.Type; d.Transition.Kind != saga.StaleReply && (cause == "done-"+d.Transition.Step || cause == "event-"+d.Transition.Step) {
		r.effects[d.Transition.Step] = true
	}
	if resolved, ok := in.(saga.Resolve); ok && resolved.As == saga.Done {
		r.effects[resolved.Step] = true // on the way back it is undone in the same decision
	}
	for i, name := range r.def.StepNames() {
		st := d.State.Steps[i]
		r.effects[name] = r.effects[name] || st.Status == saga.Done
		r.silent[name] = r.silent[name] || st.Status == saga.GivenUp || st.Unconfirmed ||
			st.Status == saga.Abandoned || st.Status == saga.Assumed || st.Status == saga.Undone
	}
	for _, c := range d.Commands {
		require.False(r.t, r.ids[c.ID], "%s %d has the id of another command", c.Type, c.Attempt)
		r.ids[c.ID] = true
		_, again := in.(saga.RestartFrom)
		if i := slices.Index(r.def.StepNames(), c.Step); !c.Undo && !again && r.state.Exists() {
			require.NotEqual(r.t, saga.Skipped, r.state.Steps[i].Status, "%s was skipped, and is asked", c.Step)
		}
		if c.Undo {
			require.True(r.t, r.effects[c.Step] || r.silent[c.Step],
				"%s is undone although it was neither done nor given up", c.Step)
			require.NotEqual(r.t, saga.Running, d.State.Phase)
		}
	}
}

// answer replies to a command that was sent once.
func (r *run) answer(c saga.Command, how string) saga.Decision {
	return r.apply(saga.Message{ID: uuid.New(), Type: how + "-" + c.Step, Key: "1", CausationID: c.ID, Data: []byte("{}")})
}

// happens delivers an event, if a step awaits it.
func (r *run) happens(what, step string) {
	if event := what + "-" + step; slices.Contains(r.def.MessageTypes(), event) {
		r.apply(saga.Message{ID: uuid.New(), Type: event, Key: "1", Data: []byte("{}")})
	}
}

func (r *run) passTime() {
	if due, ok := r.state.Deadline(); ok {
		r.now = due
		for r.apply(saga.Due{}).Changed() {
		}
	}
}

// Whatever is answered, repeated, delayed, left out or cancelled, in whatever
// order: every rule of hold is kept, and once the participants answer what
// they are asked, the saga ends.
func TestAnySagaKeepsTheRulesAndEnds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := &run{
			t: t, def: anyDefinition(t), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			ids: map[uuid.UUID]bool{}, effects: map[string]bool{}, silent: map[string]bool{},
		}
		for _, stage := range r.def.Describe().Stages {
			for _, step := range stage {
				r.effects[step.Name] = step.AlreadyDone != ""
			}
		}
		if rapid.IntRange(0, 9).Draw(t, "early") == 0 {
			r.apply(saga.Message{ID: uuid.New(), Type: "Cancel", Key: "1", Data: []byte("{}")})
			if rapid.Bool().Draw(t, "late") {
				r.passTime()
				require.Equal(t, saga.NotStarted, r.state.Phase)
			}
		}
		data := rapid.SampledFrom([]string{`{}`, `{"item":"x"}`}).Draw(t, "data")
		r.apply(saga.Message{ID: uuid.New(), Type: "Start", Key: "1", Data: []byte(data)})
		for range rapid.IntRange(0, 40).Draw(t, "events") {
			r.now = r.now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			if rapid.IntRange(0, 5).Draw(t, "event") == 0 {
				step := rapid.SampledFrom(r.def.StepNames()).Draw(t, "awaiting")
				r.happens(rapid.SampledFrom([]string{"event", "event", "refused"}).Draw(t, "what"), step)
				continue
			}
			if len(r.commands) == 0 || rapid.IntRange(0, 3).Draw(t, "time") == 0 {
				r.passTime()
				continue
			}
			if rapid.IntRange(0, 9).Draw(t, "intervene") == 0 {
				r.intervene()
				continue
			}
			c := r.commands[rapid.IntRange(0, len(r.commands)-1).Draw(t, "command")]
			hows := []string{"done", "done", "failed", "busy"}
			if c.Undo {
				hows = []string{"undone"}
			}
			if rapid.IntRange(0, 19).Draw(t, "cancel") == 0 {
				r.apply(saga.Message{ID: uuid.New(), Type: "Cancel", Key: "1", Data: []byte("{}")})
				continue
			}
			r.answer(c, rapid.SampledFrom(hows).Draw(t, "how"))
		}
		r.finish()
	})
}

// intervene does one of the things that an operator can do.
func (r *run) intervene() {
	by := saga.Operator{ID: uuid.New(), Actor: "ann", Reason: "why not"}
	step := rapid.SampledFrom(r.def.StepNames()).Draw(r.t, "step")
	var in saga.Intervention
	switch rapid.IntRange(0, 13).Draw(r.t, "intervention") {
	case 0, 1:
		in = saga.RetryNow{Operator: by}
	case 2:
		in = saga.Cancel{Operator: by}
	case 3:
		in = saga.MoveDeadline{Operator: by, Step: step, To: r.now.Add(time.Minute)}
	case 4, 5, 6:
		in = saga.Resolve{Operator: by, Step: step, As: rapid.SampledFrom([]saga.StepStatus{saga.Done, saga.Failed, saga.Undone}).Draw(r.t, "as")}
	case 7, 8:
		in = saga.SkipWait{Operator: by, Step: step}
	case 9:
		in = saga.RestartFrom{Operator: by, Step: step}
	case 10:
		in = saga.EditData{Operator: by, Patch: json.RawMessage(`{"item":` + strconv.Quote(rapid.SampledFrom([]string{"", "y"}).Draw(r.t, "item")) + `}`)}
	case 11:
		in = saga.Suspend{Operator: by}
	case 12:
		in = saga.Resume{Operator: by}
	default:
		in = saga.Force{Operator: by, End: rapid.SampledFrom([]string{"COMPLETED", "CANCELLED"}).Draw(r.t, "end")}
	}
	d := r.apply(in)
	_, forced := in.(saga.Force)
	r.forced = r.forced || forced && d.Changed()
	if _, resumed := in.(saga.Resume); d.Changed() && !resumed { // what was held follows a resumption
		require.Equal(r.t, by.ID, d.Transition.Cause.ID)
		require.Equal(r.t, "ann", d.Transition.Cause.Actor)
		require.Contains(r.t, d.Transition.Note, by.Reason)
	}
}

// finish lets everybody answer what is asked until the saga has ended.
func (r *run) finish() {
	for range 200 {
		if r.state.Phase.Ended() {
			break
		}
		if r.state.Phase == saga.Suspended {
			r.apply(saga.Resume{Operator: saga.Operator{ID: uuid.New()}})
			continue
		}
		waits := r.def.Waits(r.state)
		require.NotEmpty(r.t, waits, "the saga is %s and waits for nothing", r.state.Phase)
		switch waits[0].For {
		case saga.ForTime:
			r.passTime()
			continue
		case saga.ForEvent:
			r.happens("event", waits[0].Step)
			continue
		case saga.ForReply, saga.ForStart:
		}
		i := slices.IndexFunc(r.commands, func(c saga.Command) bool { return c.ID == waits[0].CommandID })
		require.GreaterOrEqual(r.t, i, 0)
		how := "done"
		if r.commands[i].Undo {
			how = "undone"
		}
		r.answer(r.commands[i], how)
	}
	require.True(r.t, r.state.Phase.Ended(), "the saga is still %s", r.state.Phase)
	if r.forced {
		return // what its steps came to is the operator's business
	}
	for i, name := range r.def.StepNames() {
		st := r.state.Steps[i].Status
		if r.state.Phase == saga.Completed {
			require.Contains(r.t, []saga.StepStatus{saga.Done, saga.Skipped}, st, "%s of a completed saga", name)
			continue
		}
		require.NotContains(r.t, []saga.StepStatus{saga.Waiting, saga.Undoing}, st, "%s of a cancelled saga", name)
	}
}
