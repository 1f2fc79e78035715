package saga

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Definition is one version of a workflow. It is immutable once built and safe
// for concurrent use.
type Definition struct {
	name       string
	version    int
	topic      string // where commands go whose step names no topic
	start      start
	stages     [][]int // indexes into steps; a stage's steps run in parallel
	steps      []*step
	cancel     *cancellation
	within     *sagaDeadline // of the whole saga; nil: none
	attributes []attribute
	completed  string
	cancelled  string
	// strictly checks data of a saga against its type and returns it as the engine writes it; fits
	// says whether it can be decoded at all.
	strictly func(json.RawMessage) (json.RawMessage, error)
	fits     func(json.RawMessage) error
	handles  map[string]bool // the message types, for looking one up
	awaited  map[string]int  // event type → the step that awaits it
	written  []error         // what was wrong when it was written down
}

// Name is the workflow's name, the same for all its versions.
func (d *Definition) Name() string { return d.name }

// Version tells this definition from others of the same name. A running saga
// stays on the version it began with.
func (d *Definition) Version() int { return d.version }

// Ends are the two states a saga of this definition can end in: the one
// reached when every step succeeded, and the one reached when it was undone.
func (d *Definition) Ends() (completed, cancelled string) { return d.completed, d.cancelled }

// MessageTypes are the types of the messages that mean something to a saga of
// this definition: its start, its replies, the events that it awaits and its cancellation.
func (d *Definition) MessageTypes() []string {
	types := []string{d.start.message}
	if d.cancel != nil {
		types = append(types, d.cancel.message)
	}
	for _, s := range d.steps {
		for _, r := range s.replies {
			types = append(types, r.message)
		}
		if s.undo != nil {
			types = append(types, s.undo.reply)
		}
	}
	return types
}

// sagaDeadline is by when a saga must have completed after it began, and the saga's reason when it
// has not.
type sagaDeadline struct {
	after  time.Duration
	reason string
}

// attribute is a search attribute: its name, and its value for some data.
type attribute struct {
	name  string
	value func(json.RawMessage) (string, error)
}

// start is how a message begins a saga and what it leaves as the saga's data.
type start struct {
	message string
	data    func(Message) (json.RawMessage, error)
}

// cancellation is the message that asks for a saga to be undone, for how long
// after the saga completed that is still granted, and what is sent where it is
// not; refuse may be nil.
type cancellation struct {
	message string
	reason  func(Message) (string, error)
	window  time.Duration
	refuse  *command
}

// action is what a step does when its turn comes.
type action int

const (
	nothing  action = iota
	done            // it was done before the saga began
	asks            // sends a command and waits for its reply
	tells           // sends a command and waits for nothing
	awaits          // waits for an event that no command asked for
	letsPass        // lets time pass
)

// step is one thing that happens in a saga.
type step struct {
	name   string
	action action
	// needed, if set, says from the saga's data whether the step is carried out.
	needed func(json.RawMessage) (bool, error)
	after  time.Duration // that it lets pass
	// alreadyDone says who did the step before the saga began.
	alreadyDone string
	command     *command
	replies     []reply
	// wait is how patient the step is; unlimited patience never gives up.
	wait    RetryPolicy
	forever bool
	giveUp  string // the saga's reason when the step never answered
	undo    *undo
	topic   string // where its commands go; empty: the definition's
	noUndo  string // why there is nothing to undo
}

// command is what a step sends.
type command struct {
	message string
	topic   string // set by Build; empty where the definition names none
	build   func(call) (any, error)
}

// undo is a step's compensation.
type undo struct {
	command
	reply string
	wait  RetryPolicy
}

// verdict is what a reply says about the command it answers.
type verdict int

const (
	succeeded verdict = iota
	failed
	retryLater // not now: ask again later
)

// reply is one type of answer to a step's command.
type reply struct {
	message string
	verdict verdict
	reason  func(Message) (string, error)                                  // of a failure; may be nil
	keep    func(data json.RawMessage, m Message) (json.RawMessage, error) // of a success; may be nil
}

// call is what a command is built from, before its data has a type.
type call struct {
	saga    string
	id      uuid.UUID
	cause   uuid.UUID
	at      time.Time
	attempt int
	reason  string
	data    json.RawMessage
}

// hasUndo says whether carrying out the step changes something that only
// its compensation can take back.
func (s *step) hasUndo() bool { return s.undo != nil }

// RetryPolicy says how long to wait for an answer and how often to ask again:
// attempt n waits Within × Factor^(n-1), at most Max, give or take Jitter.
// The wait is the backoff: asking again while the first question may still be
// answered only adds load.
type RetryPolicy struct {
	Timeout     time.Duration // how long the first attempt waits
	MaxAttempts int           // how many times the command is sent in all
	Backoff     float64       // how much longer each attempt waits; 0 means 2
	MaxInterval time.Duration // the longest wait; 0 means 16 × Within
	Jitter      float64       // the part of the wait that is random, 0..1; negative means none, 0 means 0.1
}

// withDefaults fills what was left zero.
func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.Backoff == 0 {
		p.Backoff = 2
	}
	if p.MaxInterval == 0 {
		p.MaxInterval = 16 * p.Timeout
	}
	switch {
	case p.Jitter == 0:
		p.Jitter = 0.1
	case p.Jitter < 0:
		p.Jitter = 0
	}
	return p
}

// delay is how long attempt (from 1) waits; jitter in [0,1) decides the jitter.
func (p RetryPolicy) delay(attempt int, jitter float64) time.Duration {
	wait := float64(p.Timeout)
	for range attempt - 1 {
		wait *= p.Backoff
		if wait >= float64(p.MaxInterval) {
			break
		}
	}
	wait = min(wait, float64(p.MaxInterval))
	return time.Duration(wait * (1 + p.Jitter*(2*jitter-1)))
}

// StepNames are the names of the steps, in the order of [State].Steps.
func (d *Definition) StepNames() []string {
	names := make([]string, len(d.steps))
	for i, s := range d.steps {
		names[i] = s.name
	}
	return names
}

// Topics are the topics that a saga's commands are sent to, by the command's type. A command whose
// topic the definition does not name is in it with an empty one.
func (d *Definition) Topics() map[string]string {
	topics := map[string]string{}
	for _, s := range d.steps {
		if s.command != nil {
			topics[s.command.message] = s.command.topic
		}
		if s.undo != nil {
			topics[s.undo.message] = s.undo.topic
		}
	}
	if d.cancel != nil && d.cancel.refuse != nil {
		topics[d.cancel.refuse.message] = d.cancel.refuse.topic
	}
	return topics
}
