package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

// OwnDatabase is the name of the orchestrator's own database, here and among the relay's.
const OwnDatabase = "orchestrator"

// RelayName is what the relay is called among the sources.
const RelayName = "outbox-relay"

// Evidence is all that could be found out about one order.
type Evidence struct {
	ID       string
	Now      time.Time
	Saga     *saga.State // nil: there is none
	Registry *saga.Registry
	History  []inspect.Line // of the saga
	// Databases are what outboxes and inboxes know: the orchestrator's own first, then those that
	// the relay serves.
	Databases []Database
	Services  []Service
	Relay     Relay
	// Broker says what is wrong with it as the orchestrator sees it; empty: nothing, or it could
	// not be asked.
	Broker string
	// Shard is whose databases they are. They have the plain names here, and the shard's in
	// commands.
	Shard contracts.Shard
	// Payloads says whether what messages carry is wanted as well.
	Payloads bool
	// Records are the records of deliveries in Kafka, as far as they could be read.
	Records map[Place]Record
}

// Relay is whether the relay could be asked.
type Relay struct {
	Asked bool   // it is known where it is
	URL   string // where that is
	Error string // why it did not answer; empty: it did
}

// Database is what the outbox and the inbox of one database know of an order.
type Database struct {
	Name       string
	Error      string // why it could not be asked; empty: it could
	Sent       []Message
	Deliveries []Delivery
	Outbox     Outbox
	Blocked    []Blocked
}

// Outbox is how the relay of a database is doing.
type Outbox struct {
	Paused  bool
	Leader  string
	Ahead   int64  // rows that are to be published before the oldest pending one of this order
	Problem string // what the relay says is wrong with the database or the broker
}

// Message is a row of an outbox.
type Message struct {
	ID          int64
	EventID     uuid.UUID
	Topic       string
	Type        string
	CreatedAt   time.Time
	Status      string // published, pending, stuck or parked
	Error       string
	Attempts    int
	StuckAt     *time.Time
	NextAttempt *time.Time
	Cause       *uuid.UUID // the message it answers
	Reason      string     // of a dead letter
	Letter      *Letter    // the dead letter that it announces; nil where that is not known
	Headers     map[string]string
	// Payload is the first 64 KiB of it, where payloads were asked for; PayloadBytes is its length.
	Payload      []byte
	PayloadBytes int64
	// Masked says what of it is hidden from the orchestrator, in words; empty: nothing is.
	Masked string
	// Encoding says how the payload travels; "" as it is.
	Encoding string
}

// Letter is a dead letter as the service says that set it aside.
type Letter struct {
	ID       int64
	State    string
	Settled  bool // it was redriven, discarded or edited: nothing waits for it
	Nameless bool // its message has no id that could be read
}

// Delivery is a message that a consumer has handled.
type Delivery struct {
	EventID   uuid.UUID
	Consumer  string
	Topic     string
	Partition int32
	Offset    int64
	At        time.Time
}

// Service is a service that was asked over HTTP.
type Service struct {
	Name string
	URL  string
	// Error is why it did not answer; empty: it did.
	Error string
	// Unhealthy is what it says is wrong with itself; empty: nothing.
	Unhealthy string
	Facts     []Fact
}

// The kinds of facts.
const (
	Accepted = "accepted"
	Became   = "became"
)

// Fact is something that a service says of an order.
type Fact struct {
	At   time.Time
	Kind string
	What string
}

// Blocked is a session of the orchestrator that waits for a lock.
type Blocked struct {
	Waiter string
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

// database looks a database up by name, and reports whether it could be asked.
func (s Evidence) database(name string) (Database, bool) {
	for _, d := range s.Databases {
		if d.Name == name {
			return d, d.Error == ""
		}
	}
	return Database{}, false
}

// service looks a service up by name.
func (s Evidence) service(name string) (Service, bool) {
	for _, service := range s.Services {
		if service.Name == name {
			return service, true
		}
	}
	return Service{}, false
}

// Known reports whether anything at all is known of the order.
func (s Evidence) Known() bool {
	known := s.Saga != nil
	for _, d := range s.Databases {
		known = known || len(d.Sent) > 0
	}
	for _, service := range s.Services {
		known = known || len(service.Facts) > 0
	}
	return known
}

// Sources lists what was asked, and what did not answer.
func (s Evidence) Sources() []SourceState {
	sources := []SourceState{}
	for _, service := range s.Services {
		sources = append(sources, SourceState{service.Name, service.Error})
	}
	if s.Relay.Asked {
		sources = append(sources, SourceState{RelayName, s.Relay.Error})
	}
	for _, d := range s.Databases {
		sources = append(sources, SourceState{"database " + d.Name, d.Error})
	}
	return sources
}

// UnknownError says that nothing is known of an order by anybody who could be asked: not only that
// it has no saga. It is a [store.ErrNotFound].
type UnknownError struct{ Asked, Unreachable []string }

// Unknown is the error for an order of which nothing is [Evidence.Known].
func (s Evidence) Unknown() *UnknownError {
	u := &UnknownError{}
	for _, source := range s.Sources() {
		if source.Error != "" {
			u.Unreachable = append(u.Unreachable, source.Name)
		} else {
			u.Asked = append(u.Asked, source.Name)
		}
	}
	return u
}

func (u *UnknownError) Error() string {
	text := "nothing is known of it: no saga, no order and no message in " + strings.Join(u.Asked, ", ")
	if len(u.Unreachable) > 0 {
		text += "; " + strings.Join(u.Unreachable, ", ") + " did not answer"
	}
	return text
}

// Unwrap returns [store.ErrNotFound].
func (*UnknownError) Unwrap() error { return store.ErrNotFound }
