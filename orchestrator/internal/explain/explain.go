// Package explain answers, for any order, why it is where it is: what its saga
// waits for, what stands in the way, what will happen next and when; and tells
// the one story that is spread over the databases of all services.
//
// It reads what every service keeps anyway: the outbox (what was sent, and
// whether the relay has published it) and the inbox (what was handled, where it
// stood in Kafka, and when). A source that cannot be reached is named; nothing
// is guessed in its place.
package explain

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// Explanation is the answer.
type Explanation struct {
	ID      string `json:"id"`
	State   string `json:"state" doc:"The saga's state; NOT_STARTED where there are messages but no saga yet"`
	Summary string `json:"summary" doc:"Where it stands, in a sentence"`
	// Obstacles is what stands in the way of each wait.
	Obstacles   []string      `json:"obstacles,omitempty" doc:"What stands in the way, as far as it can be seen"`
	Next        []string      `json:"next,omitempty" doc:"What will happen, and when, if nothing else does"`
	Advice      []string      `json:"advice,omitempty" doc:"What a person can do, as commands"`
	Waits       []saga.Wait   `json:"waits,omitempty"`
	Timeline    []Moment      `json:"timeline" nullable:"false" doc:"The story over all parts, oldest first"`
	Sources     []SourceState `json:"sources" nullable:"false" doc:"What was asked"`
	ExplainedAt time.Time     `json:"explainedAt"`
}

// Moment is one thing that happened somewhere.
type Moment struct {
	At        time.Time  `json:"at"`
	Source    string     `json:"source" doc:"The database that knows of it"`
	Kind      string     `json:"kind" doc:"accepted, sent, handled, decided or became"`
	What      string     `json:"what"`
	MessageID *uuid.UUID `json:"messageId,omitempty"`
	Status    string     `json:"status,omitempty" doc:"Of a message sent: published, pending, stuck or parked"`
	Topic     string     `json:"topic,omitempty"`
	Partition *int32     `json:"partition,omitempty"`
	Offset    *int64     `json:"offset,omitempty"`
	AfterMS   float64    `json:"afterMs" doc:"Milliseconds since the moment before"`
}

// SourceState says whether a source could be asked.
type SourceState struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty" doc:"Why it could not be asked: what it knows is missing here"`
}

// Story is all that could be found out about one order.
type Story struct {
	ID       string
	Now      time.Time
	Saga     *saga.State // nil: there is none
	Registry *saga.Registry
	Lines    []inspect.Line
	Sources  []Found
	// Broker and Relay say what is wrong with them; empty where nothing is, or
	// where nobody could be asked.
	Broker string
	Relay  map[string]string // by the name of the source that it relays
	// Services is what the other services say of themselves, by name, where they could be asked.
	Services map[string]Service
}

// Service is what a service says of itself.
type Service struct {
	URL     string
	Problem string // empty: it is well
}

// Blocked is a session of a service that waits for a lock.
type Blocked struct {
	Waiter string // the service
	Waits  time.Duration
	// Holder is the session that holds the lock, and who that is.
	Holder           int
	App, User, State string
	Transaction      time.Duration // how long its transaction has been open
}

func (b Blocked) holder() string {
	who := b.App
	if who == "" {
		who = "a program without a name"
	}
	return fmt.Sprintf("%s of user %s, %s, its transaction open since %s", who, b.User, b.State, round(b.Transaction))
}

// Found is what one database knows.
type Found struct {
	Name    string
	Err     error
	Sent    []Sent
	Handled []Handled
	Facts   []Fact
	Relay   RelayState
	Blocked []Blocked
}

// Sent is a message in an outbox.
type Sent struct {
	inspect.OutboxRow
	Cause *uuid.UUID // the message it answers
	Why   string     // of a dead letter
}

// Handled is a message in an inbox.
type Handled struct {
	EventID   uuid.UUID
	Consumer  string
	Topic     string
	Partition int32
	Offset    int64
	At        time.Time
}

// The kinds of facts.
const (
	accepted = "accepted"
	became   = "became"
)

// Fact is something that a service's own table says.
type Fact struct {
	At   time.Time
	Kind string
	What string
}

// RelayState is what a database knows of its relay.
type RelayState struct {
	Paused bool
	Leader string
	Ahead  int64 // rows that are to be published before the oldest one of this order
}

// found looks a source up by name.
func (s Story) found(name string) (Found, bool) {
	for _, f := range s.Sources {
		if f.Name == name {
			return f, f.Err == nil
		}
	}
	return Found{}, false
}
