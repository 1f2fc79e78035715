// Package cloudevents is how the messages of a saga look on Kafka unless a service says otherwise:
// CloudEvents 1.0 in binary content mode (the Kafka protocol binding), with a JSON body. The
// participant kit and the saga runner both use it, so a command that the runner sends can be read
// by the kit, and the reply by the runner.
//
// The key of a message is the saga's id. The body is the data and nothing else; what is said about
// it is in headers:
//
//	ce_id                 what identifies the message, a UUID
//	ce_type               what it says: ReserveRoom, RoomReserved
//	ce_causationid        of a reply that is sent for the first time: the ce_id of the command
//	waybill-in-reply-to   of a reply that is sent again: the ce_id of the command that asked again
//	waybill-saga          of a command: the name of the saga's definition
//	traceparent           W3C Trace Context
//
// The relay writes ce_id and ce_type from the outbox row, and ce_specversion, ce_source, ce_time
// and content-type besides.
//
// # Identity
//
// An event's identity is what happened: [EventID] makes it from the parts that say what that was,
// so that it is the same however often the event is sent. An event that answers a second command is
// sent again under its one id with its one body. For the saga that asked, the two answers are two
// messages: [Read] returns such a message under [ReplyID].
package cloudevents

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/tracecontext"
)

// Names of the Kafka headers, besides [tracecontext.Header].
const (
	HeaderID          = "ce_id"
	HeaderType        = "ce_type"
	HeaderSource      = "ce_source"
	HeaderTime        = "ce_time"
	HeaderCausationID = "ce_causationid"
	HeaderInReplyTo   = "waybill-in-reply-to"
	HeaderSaga        = "waybill-saga"
)

// Message is what was read of a delivery.
type Message struct {
	// ID identifies the message to its consumers: the event's id, or [ReplyID] of an event that is
	// sent again in answer to another command.
	ID uuid.UUID
	// Type says what the message is about.
	Type string
	// Key is the Kafka key: the saga's id.
	Key string
	// Saga is the name of the definition whose saga sent a command; empty where it is not known.
	Saga string
	// CausationID is the command that a reply answers; uuid.Nil where it answers none.
	CausationID uuid.UUID
	// TraceParent is the W3C traceparent; empty where there is none or it is malformed.
	TraceParent string
	// Time is when the sender made the message; Kafka's timestamp where the sender does not say.
	Time time.Time
	// Data is the body, as JSON; nil where it is empty.
	Data json.RawMessage
}

var (
	errNoID   = errors.New("the header " + HeaderID + " is missing: only CloudEvents in binary content mode are read")
	errNoType = errors.New("the header " + HeaderType + " is missing")
	errType   = errors.New("the header " + HeaderType + " is not UTF-8, or contains a NUL")
	errKey    = errors.New("the key is not UTF-8, or contains a NUL")
	errJSON   = errors.New("the body is not JSON")
)

// Read reads a delivery. An error says that it is not a message of the form that the package
// describes, and never will be.
func Read(d inbox.Delivery) (Message, error) {
	m := Message{
		Type: d.Header(HeaderType), Key: string(d.Key), Saga: d.Header(HeaderSaga),
		TraceParent: tracecontext.Parse(d.Header(tracecontext.Header)), Time: d.Time,
	}
	var err error
	if m.ID, err = messageID(d); err != nil {
		return Message{}, err
	}
	switch {
	case m.Type == "":
		return Message{}, errNoType
	case !storable(m.Type):
		return Message{}, errType
	case !storable(m.Key):
		return Message{}, errKey
	case len(d.Value) > 0 && !json.Valid(d.Value):
		return Message{}, fmt.Errorf("%s: %w", m.Type, errJSON)
	}
	if len(d.Value) > 0 {
		m.Data = d.Value
	}
	if at, err := time.Parse(time.RFC3339Nano, d.Header(HeaderTime)); err == nil {
		m.Time = at
	}
	// A malformed causation id is no reason to refuse a message that is complete without it.
	m.CausationID, _ = uuid.Parse(d.Header(HeaderCausationID))
	if again, err := uuid.Parse(d.Header(HeaderInReplyTo)); err == nil && again != uuid.Nil && again != m.CausationID {
		m.ID, m.CausationID = ReplyID(m.ID, again), again
	}
	return m, nil
}

// messageID is the id in the headers. CloudEvents only asks for a string that is unique within its
// source, so one that is not a UUID is made into one together with the source.
func messageID(d inbox.Delivery) (uuid.UUID, error) {
	name := d.Header(HeaderID)
	if name == "" {
		return uuid.Nil, errNoID
	}
	if id, err := uuid.Parse(name); err == nil && id != uuid.Nil {
		return id, nil
	}
	return EventID("cloudevents", d.Header(HeaderSource), name), nil
}

// storable says whether Postgres can store s as text.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
