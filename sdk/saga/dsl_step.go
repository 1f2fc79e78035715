package saga

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

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
// wait. Its Undo is sent only if the event came, also if it comes after compensation has begun.
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
	if keep == nil {
		t.fault(fmt.Sprintf("reply %q needs a function that keeps what it brings: or call Success or Await", message))
		return t.Success(message)
	}
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
// out of a rejection, into one of a [Message] by decoding its JSON. Of nil it makes nil.
func From[M, R any](f func(M) R) func(Message) (R, error) {
	if f == nil {
		return nil
	}
	return func(m Message) (R, error) {
		var body M
		if err := json.Unmarshal(m.Data, &body); err != nil {
			var zero R
			return zero, fmt.Errorf("decode %s: %w", m.Type, err)
		}
		return f(body), nil
	}
}
