package deadletter

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// State is what has become of a message that was set aside.
type State string

// The states. Dead and parked ones are open.
const (
	Dead       State = "dead"       // could not be applied, and waits for an operator
	Parked     State = "parked"     // is applied when it is the first of its queue
	Redriven   State = "redriven"   // was applied after all
	Discarded  State = "discarded"  // will never be applied: an operator said so
	Superseded State = "superseded" // an edited copy has its place
)

// States are all states.
func States() []State { return []State{Dead, Parked, Redriven, Discarded, Superseded} }

// Open says whether the message may still be applied.
func (s State) Open() bool { return s == Dead || s == Parked }

// Action is what happens to a message that was set aside.
type Action string

// The actions. The first three are an operator's.
const (
	Redrive Action = "redrive" // it is to be applied
	Discard Action = "discard" // it is never to be applied
	Edit    Action = "edit"    // a copy is to be applied in its place
	Applied Action = "applied" // it took effect, or had done so before
	Failed  Action = "failed"  // it could not be applied
)

var transitions = map[Action]map[State]State{
	Redrive: {Dead: Parked},
	Discard: {Dead: Discarded, Parked: Discarded},
	Edit:    {Dead: Superseded, Parked: Superseded},
	Applied: {Parked: Redriven},
	Failed:  {Parked: Dead},
}

// Next returns the state that an action leads to. An action that is not possible in the state is a
// [*StateError].
func Next(s State, a Action) (State, error) {
	next, ok := transitions[a][s]
	if !ok {
		return s, &StateError{State: s, Action: a}
	}
	return next, nil
}

// StateError says that a message is in a state in which an action is not possible.
type StateError struct {
	State  State
	Action Action
}

func (e *StateError) Error() string {
	if e.Action == Redrive && e.State == Parked {
		return "it is parked: it is applied once what is in front of it is redriven or discarded"
	}
	return fmt.Sprintf("it is %s: there is nothing to %s", e.State, e.Action)
}

// Header is one Kafka header. Names may repeat.
type Header struct {
	Key   string
	Value []byte
}

// Message is a message as it came from Kafka, and where it stood.
type Message struct {
	Topic     string
	Partition int32
	Offset    int64
	SentAt    *time.Time // the timestamp that Kafka has for it
	Key       []byte     // nil: it has none
	Type      string     // "" where it is not known
	EventID   *uuid.UUID // the id that it claims; nil where it could not be read
	// Decoded says whether the consumer could read the message: EventID is certain then.
	Decoded bool
	Headers []Header
	Payload []byte
	// PayloadBytes is the length of the payload before it was cut.
	PayloadBytes int64
	// Whole says whether key, headers and payload are all of it. What is not whole cannot be
	// redriven from here.
	Whole bool
}

// Letter is a message that was set aside.
type Letter struct {
	Message
	ID       int64
	Consumer string
	// KeyID is the queue that the message is in; nil: no other message waits for it.
	KeyID *uuid.UUID
	// Replaces is the place of the message of which this is an edited copy.
	Replaces *int64
	// Place is the order of a queue.
	Place        int64
	State        State
	Reason       string // why it could not be applied, the last time
	Cause        string // the reason without what differs from message to message
	Failures     int    // how often it could not be applied
	Result       string // of a redrive: applied, duplicate, skipped
	Note         string // why an operator changed it
	Revision     int    // grows with each change
	SetAsideAt   time.Time
	ChangedAt    time.Time
	SupersededBy *int64
}

// KeyID names the queue of a topic and key.
func KeyID(topic string, key []byte) uuid.UUID {
	all := binary.BigEndian.AppendUint64(nil, uint64(len(topic)))
	sum := sha256.Sum256(append(append(all, topic...), key...))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

const (
	maxReason = 1_000 // code points
	maxCause  = 200
)

// What differs from message to message: ids, quoted values, numbers.
var varying = regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{4,}|"[^"]*"|'[^']*'|\d+`)

// Cause is an error's text without what differs from message to message: what dead letters are
// grouped by. Of an error of the database it is the SQLSTATE, and the table or the constraint.
func Cause(reason error) string {
	pgErr, ok := errors.AsType[*pgconn.PgError](reason)
	if !ok {
		return cut(varying.ReplaceAllString(reason.Error(), "…"), maxCause)
	}
	parts := []string{"SQLSTATE " + pgErr.Code}
	for _, name := range []string{pgErr.TableName, pgErr.ConstraintName} {
		if name != "" {
			parts = append(parts, name)
		}
	}
	if len(parts) == 1 {
		parts = append(parts, varying.ReplaceAllString(pgErr.Message, "…"))
	}
	return cut(strings.Join(parts, " "), maxCause)
}

// cut makes s storable as text, of at most n code points.
func cut(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// What a row holds at most, in bytes; a broker's usual limit for a message is one eighth of it.
const (
	maxPayload = 8 << 20
	maxHeaders = 1 << 20
	maxKey     = 1 << 20
	maxType    = 255
)

// bounded returns a message that a row can hold: what is too long is cut, and it is not whole then.
func (m Message) bounded() Message {
	m.Type = cut(m.Type, maxType)
	m.Topic = cut(m.Topic, maxType)
	if len(m.Payload) > maxPayload {
		m.Payload, m.Whole = m.Payload[:maxPayload], false
	}
	if len(m.Key) > maxKey {
		m.Key, m.Whole = m.Key[:maxKey], false
	}
	room := maxHeaders
	for i, h := range m.Headers {
		if room -= len(h.Key) + len(h.Value); room < 0 || !utf8.ValidString(h.Key) {
			m.Headers, m.Whole = slices.Clone(m.Headers[:i]), false
			break
		}
	}
	return m
}

// Bare returns the message without what it holds: no more than where it stood.
func (m Message) Bare() Message {
	return Message{
		Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Payload: []byte{}, PayloadBytes: m.PayloadBytes,
	}
}
