package saga

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"
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
		completed: "COMPLETED", cancelled: "CANCELLED", strictly: strictData[D], fits: fits[D],
	}}
}

// StartOn names the message that begins a saga and how it becomes the saga's
// data; [From] turns a function of a typed message into one.
func (b *Builder[D]) StartOn(message string, data func(Message) (D, error)) {
	b.def.start = start{message: message}
	if data == nil {
		return // Build says so
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
// It is sent once per saga, and no reply is waited for. Without it only the
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
