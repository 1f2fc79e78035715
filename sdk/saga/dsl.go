package saga

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Builder writes down a [Definition] whose sagas carry data of type D, which
// is stored as JSON. Nothing is checked before Build, which reports everything
// that is wrong at once.
type Builder[D any] struct {
	def Definition
}

// Define begins version (from 1) of the workflow called name.
func Define[D any](name string, version int) *Builder[D] {
	return &Builder[D]{def: Definition{
		name: name, version: version,
		completed: "COMPLETED", cancelled: "CANCELLED",
	}}
}

// StartOn names the message that begins a saga and how it becomes the saga's
// data; [From] turns a function of a typed message into one.
func (b *Builder[D]) StartOn(message string, data func(Message) (D, error)) {
	b.def.start.message = message
	if data == nil {
		return
	}
	b.def.start.data = func(m Message) (json.RawMessage, error) {
		d, err := data(m)
		if err != nil {
			return nil, err
		}
		return json.Marshal(d)
	}
}

// CancelOn names the message that asks for a saga to be undone: at any time
// while it runs, and for window after it completed. Reason may be nil.
func (b *Builder[D]) CancelOn(message string, window time.Duration, reason func(Message) (string, error)) {
	c := &cancellation{message: message, window: window, reason: reason}
	if b.def.cancel != nil {
		c.refuse = b.def.cancel.refuse
	}
	b.def.cancel = c
}

// RefuseCancel names the command that tells the one who asked that a
// cancellation is not granted: the window is over, or there was nothing to
// cancel. Its Call has the reason; Call.Data is empty where no saga ever began.
// It is sent once a saga, and no reply is waited for. Without it only the
// timeline knows.
func (b *Builder[D]) RefuseCancel(message string, build func(Call[D]) (any, error)) {
	if b.def.cancel == nil {
		b.def.cancel = &cancellation{} // Build says that CancelOn is missing
	}
	b.def.cancel.refuse = &command{message: message, build: erase(build)}
}

// Ends names the states a saga ends in: when every step succeeded, and when it
// was undone. Without it they are COMPLETED and CANCELLED.
func (b *Builder[D]) Ends(completed, cancelled string) {
	b.def.completed, b.def.cancelled = completed, cancelled
}

// To names the topic that the saga's commands are sent to, unless their step names another
// ([Step.To]). Like a retry policy it can change without a new version: it is not part of the
// [Definition.Fingerprint].
func (b *Builder[D]) To(topic string) { b.def.topic = topic }

// Within says how long a saga may take from its start to its completion. One that has not completed
// by then is undone because of reason, as if it had been cancelled at that moment. Time that
// commands wait in the outbox counts.
func (b *Builder[D]) Within(d time.Duration, reason string) {
	b.def.within = &sagaDeadline{d, reason}
}

// Step adds a step that runs after those before it have succeeded.
func (b *Builder[D]) Step(name string) *Step[D] {
	b.def.stages = append(b.def.stages, nil)
	return b.Parallel(name)
}

// Parallel adds a step that runs in parallel with the step added before it.
// The saga goes on when all of them succeeded; if one fails, those that did
// are undone in reverse order.
func (b *Builder[D]) Parallel(name string) *Step[D] {
	if len(b.def.stages) == 0 {
		b.def.stages = append(b.def.stages, nil)
	}
	s := &step{name: name}
	last := len(b.def.stages) - 1
	b.def.stages[last] = append(b.def.stages[last], len(b.def.steps))
	b.def.steps = append(b.def.steps, s)
	return &Step[D]{def: &b.def, s: s}
}

// Build checks the definition and returns it. The error joins one error for
// each fault, each naming the step it is in. What is done with the builder
// afterwards does not change the definition.
func (b *Builder[D]) Build() (*Definition, error) {
	def := b.def.clone()
	def.checkConditions(emptyData[D]())
	if err := def.validate(); err != nil {
		return nil, fmt.Errorf("saga definition %q: %w", def.name, err)
	}
	return def, nil
}

// emptyData is data without anything in it, and whether there can be anything.
func emptyData[D any]() (data json.RawMessage, hasFields bool) {
	var d D
	data, err := json.Marshal(d)
	if err != nil {
		data = json.RawMessage("null")
	}
	t := reflect.TypeFor[D]()
	return data, t.Kind() != reflect.Struct || t.NumField() > 0
}

// clone shares nothing with d that could change.
func (d Definition) clone() *Definition {
	stages := make([][]int, len(d.stages))
	for n, stage := range d.stages {
		stages[n] = slices.Clone(stage)
	}
	steps := make([]*step, len(d.steps))
	for i, s := range d.steps {
		one := *s
		one.replies = slices.Clone(s.replies)
		if s.command != nil {
			command := *s.command
			command.topic = cmp.Or(s.topic, d.topic)
			one.command = &command
		}
		if s.undo != nil {
			undo := *s.undo
			undo.topic = cmp.Or(s.topic, d.topic)
			one.undo = &undo
		}
		steps[i] = &one
	}
	d.stages, d.steps = stages, steps
	if d.cancel != nil {
		cancel := *d.cancel
		if cancel.refuse != nil {
			refuse := *cancel.refuse
			refuse.topic = d.topic
			cancel.refuse = &refuse
		}
		d.cancel = &cancel
	}
	d.attributes, d.written = slices.Clone(d.attributes), slices.Clone(d.written)
	d.awaited = map[string]int{}
	for i, s := range d.steps {
		if s.action == awaits {
			for _, r := range s.replies {
				d.awaited[r.message] = i
			}
		}
	}
	d.handles = map[string]bool{}
	for _, m := range d.MessageTypes() {
		d.handles[m] = true
	}
	return &d
}

// Step is one step of a definition being written; its methods return it so
// that a step reads as one sentence.
type Step[D any] struct {
	def *Definition
	s   *step
}

// does says what the step does; it can do one thing.
func (t *Step[D]) does(what action) {
	if t.s.action != nothing {
		t.fault("does two things: call one of Send, Tell, Await, After and AlreadyDone")
	}
	t.s.action = what
}

func (t *Step[D]) fault(text string) {
	t.def.written = append(t.def.written, fmt.Errorf("step %q: %s", t.s.name, text))
}

// AlreadyDone says that the step was done before the saga began, and by whom: it
// sends nothing, but it can have an undo.
func (t *Step[D]) AlreadyDone(why string) *Step[D] {
	t.does(done)
	t.s.alreadyDone = why
	return t
}

// Send is the command that carries the step out; build makes its body.
func (t *Step[D]) Send(message string, build func(Call[D]) (any, error)) *Step[D] {
	t.does(asks)
	t.s.command = &command{message: message, build: erase(build)}
	return t
}

// Tell is a command that is sent once and not waited for: the step is done as soon as it is sent.
// If it has an Undo, that one is waited for.
func (t *Step[D]) Tell(message string, build func(Call[D]) (any, error)) *Step[D] {
	t.does(tells)
	t.s.command = &command{message: message, build: erase(build)}
	return t
}

// Await makes the step wait for an event that no command of the saga asked for: a payment that was
// captured elsewhere, an approval. Its key is the saga's id. One that comes before the step's turn
// counts. A [Step.Failure] is an event that says that it will not come; Within says until when to
// wait. Its Undo is sent only if the event came, also if it comes after the saga turned back.
func (t *Step[D]) Await(message string) *Step[D] {
	t.does(awaits)
	return t.Success(message)
}

// AwaitKeeping is Await for an event that brings something later steps need, which keep writes into
// the saga's data.
func (t *Step[D]) AwaitKeeping(message string, keep func(*D, Message) error) *Step[D] {
	t.does(awaits)
	return t.SuccessKeeping(message, keep)
}

// Within is how long the step awaits its event; then the saga is undone because of giveUp.
func (t *Step[D]) Within(d time.Duration, giveUp string) *Step[D] {
	if t.s.action != awaits {
		t.fault("Within is for a step that awaits an event: call Wait")
	}
	t.s.wait, t.s.giveUp = RetryPolicy{Timeout: d, MaxAttempts: 1, Backoff: 1, MaxInterval: d}, giveUp
	return t
}

// After makes the step let time pass: it is done d after its turn came.
func (t *Step[D]) After(d time.Duration) *Step[D] {
	t.does(letsPass)
	t.s.after, t.s.wait = d, RetryPolicy{Timeout: d, MaxAttempts: 1, Backoff: 1, MaxInterval: d}
	return t
}

// If says from the saga's data whether the step is carried out. It is asked once, when the step's
// turn comes (of one that was already done, when the saga begins); a step that is not is skipped.
func (t *Step[D]) If(needed func(D) bool) *Step[D] {
	switch {
	case needed == nil:
		t.fault("If needs a condition")
	case t.s.needed != nil:
		t.fault("has two conditions")
	default:
		t.s.needed = func(raw json.RawMessage) (bool, error) {
			var d D
			if err := json.Unmarshal(raw, &d); err != nil {
				return false, fmt.Errorf("saga data: %w", err)
			}
			return needed(d), nil
		}
	}
	return t
}

// To names the topic of the participant that the step's command and its undo are sent to.
func (t *Step[D]) To(topic string) *Step[D] {
	t.s.topic = topic
	return t
}

// Success is a reply that says the step is done.
func (t *Step[D]) Success(message string) *Step[D] {
	t.s.replies = append(t.s.replies, reply{message: message, verdict: succeeded})
	return t
}

// SuccessKeeping is a reply that says the step is done and brings something
// later steps need, which keep writes into the saga's data.
func (t *Step[D]) SuccessKeeping(message string, keep func(*D, Message) error) *Step[D] {
	r := reply{message: message, verdict: succeeded}
	r.keep = func(raw json.RawMessage, m Message) (json.RawMessage, error) {
		var d D
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, fmt.Errorf("saga data: %w", err)
		}
		if err := keep(&d, m); err != nil {
			return nil, err
		}
		return json.Marshal(d)
	}
	t.s.replies = append(t.s.replies, r)
	return t
}

// Failure is a reply that says the step was refused and nothing was done: the
// saga is undone for the reason it gives. Reason may be nil; [From] makes one.
func (t *Step[D]) Failure(message string, reason func(Message) (string, error)) *Step[D] {
	t.s.replies = append(t.s.replies, reply{message: message, verdict: failed, reason: reason})
	return t
}

// RetryLater is a reply that says not now: the command is sent again after the
// attempt's wait, counted like one that was not answered.
func (t *Step[D]) RetryLater(message string) *Step[D] {
	t.askedOnly("RetryLater")
	t.s.replies = append(t.s.replies, reply{message: message, verdict: retryLater})
	return t
}

// Wait is how long to wait for a reply and how often to ask; after the last
// attempt the step is given up and the saga is undone because of giveUp.
func (t *Step[D]) Wait(p RetryPolicy, giveUp string) *Step[D] {
	t.askedOnly("Wait")
	t.s.wait, t.s.giveUp = p.withDefaults(), giveUp
	return t
}

// RetryForever makes the step one that is never given up: past the point of
// no return the command is sent again, at most every p.MaxInterval, until a reply
// comes. After p.MaxAttempts (8 if zero) the saga shows as one that needs a
// person, and goes on asking. A Failure of such a step is for the reply that
// says that it cannot be: the saga is undone.
func (t *Step[D]) RetryForever(p RetryPolicy) *Step[D] {
	t.askedOnly("RetryForever")
	if p.MaxAttempts == 0 {
		p.MaxAttempts = 8
	}
	t.s.wait, t.s.forever = p.withDefaults(), true
	return t
}

// askedOnly refuses a method that only a step that sends a command and waits for its reply can
// have.
func (t *Step[D]) askedOnly(method string) {
	if t.s.action != asks && t.s.action != nothing {
		t.fault(method + " is for a step that sends a command and waits for its reply")
	}
}

// Undo is the command that takes the step back, the reply that says it has
// been, and how patiently to ask. After p.MaxAttempts the saga shows as
// COMPENSATION_STUCK and the command is sent again every p.MaxInterval.
func (t *Step[D]) Undo(message string, build func(Call[D]) (any, error), reply string, p RetryPolicy) *Step[D] {
	t.s.undo = &undo{
		command: command{message: message, build: erase(build)},
		reply:   reply,
		wait:    p.withDefaults(),
	}
	return t
}

// NoUndo says why the step needs no compensation.
func (t *Step[D]) NoUndo(why string) *Step[D] {
	t.s.noUndo = why
	return t
}

// Call is what a command's body is made from.
type Call[D any] struct {
	Saga    string    // the saga's id, which is the message key
	ID      uuid.UUID // the command's own id, which replies name as their cause
	Cause   uuid.UUID // the message that led to it; zero for a deadline
	At      time.Time
	Attempt int    // from 1
	Reason  string // why the saga is being undone; empty while it runs
	Data    D
}

func erase[D any](build func(Call[D]) (any, error)) func(call) (any, error) {
	if build == nil {
		return nil
	}
	return func(c call) (any, error) {
		out := Call[D]{Saga: c.saga, ID: c.id, Cause: c.cause, At: c.at, Attempt: c.attempt, Reason: c.reason}
		if err := json.Unmarshal(c.data, &out.Data); err != nil {
			return nil, fmt.Errorf("saga data: %w", err)
		}
		return build(out)
	}
}

// From makes a function of a typed message, such as one that picks the reason
// out of a rejection, into one of a [Message] by decoding its JSON.
func From[M, R any](f func(M) R) func(Message) (R, error) {
	return func(m Message) (R, error) {
		var body M
		if err := json.Unmarshal(m.Data, &body); err != nil {
			var zero R
			return zero, fmt.Errorf("decode %s: %w", m.Type, err)
		}
		return f(body), nil
	}
}
