// Package sagatest tests a saga definition without a database, a broker or a clock: a test says
// what participants said, reads what the saga sent, skips time, and holds the whole sequence of
// commands, compensations included, against what it should be.
//
//	s := sagatest.Start(t, definition, Purchase{Item: "lamp"})
//	s.Reply("ReserveStock", "StockReserved", nil).Sends("ShipParcel")
//	s.Reply("ShipParcel", "ShippingRefused", nil).Sends("ReleaseStock")
//	s.Reply("ReleaseStock", "StockReleased", nil).SendsNothing()
//	s.Is("REFUNDED")
//	s.Sent("ReserveStock", "ShipParcel", "ReleaseStock")
//
// What must hold whatever happens, and in whatever order, is for the simulator (package sagasim).
//
// A [Saga] is for one goroutine.
package sagatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/saga"
)

// Key is the id of the saga under test, and the key of its messages.
const Key = "1"

// began is when each saga under test begins.
var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Saga is one saga under test. A call that goes wrong fails the test.
type Saga struct {
	t          testing.TB
	def        *saga.Definition
	state      saga.State
	now        time.Time
	commands   []saga.Command
	lines      []saga.Transition
	messages   int
	attributes map[string]string
}

// Start begins a saga of def with its start message, whose body is data as JSON (see [Saga.Event]).
func Start(t testing.TB, def *saga.Definition, data any) *Saga {
	t.Helper()
	s := New(t, def)
	s.Event(def.Describe().StartOn, data)
	return s
}

// New is a saga that has not begun: for what may come before its start.
func New(t testing.TB, def *saga.Definition) *Saga {
	return &Saga{t: t, def: def, now: began}
}

// Event delivers a message that answers no command: an event that the saga awaits, its
// cancellation, its start. Its body is data as JSON; a json.RawMessage or a string is taken as it
// is, nil is {}.
func (s *Saga) Event(messageType string, data any) Outcome {
	s.t.Helper()
	return s.Input(s.Message(messageType, uuid.Nil, data))
}

// Reply delivers the reply to the latest command of a type. For the body see [Saga.Event].
func (s *Saga) Reply(command, reply string, data any) Outcome {
	s.t.Helper()
	sent := s.Commands(command)
	if len(sent) == 0 {
		s.t.Fatalf("%s answers %s, which was not sent; sent were %s", reply, command, list(s.types()))
	}
	return s.ReplyTo(sent[len(sent)-1], reply, data)
}

// ReplyTo delivers the reply to one command: to an earlier attempt, for instance.
func (s *Saga) ReplyTo(c saga.Command, reply string, data any) Outcome {
	s.t.Helper()
	return s.Input(s.Message(reply, c.ID, data))
}

// Message makes a message to the saga: a test that delivers it twice delivers the same one.
func (s *Saga) Message(messageType string, cause uuid.UUID, data any) saga.Message {
	s.t.Helper()
	body, err := encode(data)
	if err != nil {
		s.t.Fatalf("encode the body of %s: %v", messageType, err)
	}
	s.messages++
	id := uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "message %d", s.messages))
	return saga.Message{ID: id, Type: messageType, Key: Key, CausationID: cause, Data: body, Time: s.now}
}

func encode(data any) (json.RawMessage, error) {
	switch data := data.(type) {
	case nil:
		return json.RawMessage("{}"), nil
	case string:
		return json.RawMessage(data), nil
	case json.RawMessage:
		return data, nil
	}
	return json.Marshal(data)
}

// Input gives the engine an input: a message, or what an operator does.
func (s *Saga) Input(in saga.Input) Outcome {
	s.t.Helper()
	o, err := s.apply(in)
	if err != nil {
		s.t.Fatalf("the engine refuses %T: %v", in, err)
	}
	return o
}

// Refuses holds that the engine refuses an input with an error that is want.
func (s *Saga) Refuses(in saga.Input, want error) {
	s.t.Helper()
	if _, err := s.apply(in); !errors.Is(err, want) {
		s.t.Fatalf("the engine answers %T with the error %v, not %v", in, err, want)
	}
}

func (s *Saga) apply(in saga.Input) (Outcome, error) {
	decisions, err := s.decide(in)
	if err != nil {
		return Outcome{}, err
	}
	o := Outcome{s: s}
	for _, d := range decisions {
		s.state, s.commands, o.Commands = d.State, append(s.commands, d.Commands...), append(o.Commands, d.Commands...)
		if d.Attributes != nil {
			s.attributes = d.Attributes
		}
		if d.Changed() {
			s.lines, o.Transitions = append(s.lines, d.Transition), append(o.Transitions, d.Transition)
		}
	}
	return o, nil
}

// decide asks the engine; what is kept for a saga, while it is suspended or has not begun, is the
// registry's business.
func (s *Saga) decide(in saga.Input) ([]saga.Decision, error) {
	if s.state.Phase != saga.Suspended && len(s.state.Early) == 0 {
		d, err := s.def.Apply(s.state, in, s.now)
		return []saga.Decision{d}, err
	}
	registry, err := saga.NewRegistry(s.def)
	if err != nil {
		return nil, err
	}
	return registry.Apply(s.state, in, s.now)
}

// Skip lets time pass: each deadline that comes within it acts when it comes.
func (s *Saga) Skip(d time.Duration) Outcome {
	s.t.Helper()
	all, until := Outcome{s: s}, s.now.Add(d)
	for {
		due, waits := s.state.Deadline()
		if !waits || due.After(until) {
			s.now = until
			return all
		}
		if due.After(s.now) {
			s.now = due
		}
		one := s.Input(saga.Due{})
		if len(one.Transitions) == 0 {
			s.t.Fatalf("a deadline has passed at %s, and nothing happens", due)
		}
		all.Commands, all.Transitions = append(all.Commands, one.Commands...), append(all.Transitions, one.Transitions...)
	}
}

// Delay lets time pass in which nobody acts on deadlines: they are overdue after it.
func (s *Saga) Delay(d time.Duration) { s.now = s.now.Add(d) }

// SkipToDeadline lets the time of the next deadline come, and what is overdue then act.
func (s *Saga) SkipToDeadline() Outcome {
	s.t.Helper()
	due, waits := s.state.Deadline()
	if !waits {
		s.t.Fatalf("the saga is %s and has no deadline", s.name())
	}
	return s.Skip(max(0, due.Sub(s.now)))
}

// State is the saga as it is now.
func (s *Saga) State() saga.State { return s.state }

// Restore puts the saga back to an earlier state, as a restored database does: what was sent since
// stays sent.
func (s *Saga) Restore(earlier saga.State) { s.state = earlier }

// Now is the time in the test.
func (s *Saga) Now() time.Time { return s.now }

// History are the transitions so far.
func (s *Saga) History() []saga.Transition { return slices.Clone(s.lines) }

// Attributes are the saga's search attributes, by name.
func (s *Saga) Attributes() map[string]string { return maps.Clone(s.attributes) }

// Waits are what the saga waits for.
func (s *Saga) Waits() []saga.Wait { return s.def.Waits(s.state) }

// Commands are the commands of a type that were sent so far, oldest first.
func (s *Saga) Commands(messageType string) []saga.Command {
	var some []saga.Command
	for _, c := range s.commands {
		if c.Type == messageType {
			some = append(some, c)
		}
	}
	return some
}

// Is holds the state that the saga is in, by the name that people see.
func (s *Saga) Is(state string) {
	s.t.Helper()
	if s.name() != state {
		s.t.Fatalf("the saga is %s, not %s\n%s", s.name(), state, s.story())
	}
}

// Because holds why the saga is being undone, or was.
func (s *Saga) Because(reason string) {
	s.t.Helper()
	if s.state.Reason != reason {
		s.t.Fatalf("the saga's reason is %q, not %q", s.state.Reason, reason)
	}
}

// Step holds how far a step has come.
func (s *Saga) Step(name string, status saga.StepStatus) {
	s.t.Helper()
	i := slices.Index(s.def.StepNames(), name)
	if i < 0 || i >= len(s.state.Steps) {
		s.t.Fatalf("the definition has no step %q, or the saga has not begun", name)
	}
	if is := s.state.Steps[i].Status; is != status {
		s.t.Fatalf("the step %s is %q, not %q\n%s", name, is, status, s.story())
	}
}

// Sent holds all that the saga has sent since it began, in order and with repetitions: its commands
// forwards, its compensations in reverse order.
func (s *Saga) Sent(types ...string) {
	s.t.Helper()
	if got := s.types(); !slices.Equal(got, types) {
		s.t.Fatalf("the saga has sent\n\t%s\nnot\n\t%s\n%s", list(got), list(types), s.story())
	}
}

func (s *Saga) types() []string { return typesOf(s.commands) }

func (s *Saga) name() string {
	if !s.state.Exists() {
		return "not begun"
	}
	return s.def.StateName(s.state.Phase)
}

// story is the history, for the text of a failure.
func (s *Saga) story() string {
	var b strings.Builder
	for _, t := range s.lines {
		fmt.Fprintf(&b, "%3d %8s  %-16s %-12s %s → %s %s", t.Seq, t.At.Sub(began), t.Kind, t.Step, t.From, t.To, t.Note)
		if len(t.Commands) > 0 {
			fmt.Fprintf(&b, "; sends %s", list(typesOf(t.Commands)))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Outcome is what an input led to.
type Outcome struct {
	s *Saga
	// Commands that were sent, in order.
	Commands []saga.Command
	// Transitions that were made; none where the input meant nothing.
	Transitions []saga.Transition
}

// Types are the types of the commands.
func (o Outcome) Types() []string { return typesOf(o.Commands) }

// Sends holds the commands that the input led to, by their types and in order.
func (o Outcome) Sends(types ...string) {
	o.s.t.Helper()
	if got := o.Types(); !slices.Equal(got, types) {
		o.s.t.Fatalf("that sends %s, not %s\n%s", list(got), list(types), o.s.story())
	}
}

// SendsNothing holds that the input led to no command.
func (o Outcome) SendsNothing() {
	o.s.t.Helper()
	o.Sends()
}

func typesOf(commands []saga.Command) []string {
	types := make([]string, len(commands))
	for i, c := range commands {
		types[i] = c.Type
	}
	return types
}

func list(types []string) string {
	if len(types) == 0 {
		return "nothing"
	}
	return strings.Join(types, ", ")
}
