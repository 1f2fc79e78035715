package deadletters

import (
	"context"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"waybill.example/chassis/masking"
	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
)

// DeadLetter is a message that a consumer has set aside.
type DeadLetter struct {
	ID           int64      `json:"id"`
	State        string     `json:"state" enum:"dead,parked,redriven,discarded,superseded" doc:"dead: could not be applied; parked: waits for its turn"`
	Revision     int        `json:"revision" doc:"Grows with each change; the ETag"`
	Consumer     string     `json:"consumer"`
	Topic        string     `json:"topic" doc:"Where the message came from"`
	Partition    int32      `json:"partition"`
	Offset       int64      `json:"offset"`
	Key          string     `json:"key" doc:"As text; bytes that are none are replaced"`
	Type         string     `json:"type"`
	EventID      *uuid.UUID `json:"eventId,omitempty" doc:"The id that the message claims"`
	SentAt       *time.Time `json:"sentAt,omitempty" doc:"The timestamp that Kafka has for it"`
	SetAsideAt   time.Time  `json:"setAsideAt"`
	ChangedAt    time.Time  `json:"changedAt"`
	Reason       string     `json:"reason,omitempty" doc:"Why it could not be applied, the last time"`
	Cause        string     `json:"cause,omitempty" doc:"The reason without what differs from message to message"`
	Failures     int        `json:"failures" doc:"How often it could not be applied"`
	Result       string     `json:"result,omitempty" doc:"What came of a redrive: applied, duplicate (it had been handled before) or skipped"`
	Note         string     `json:"note,omitempty" doc:"What the operator said who changed it last"`
	SupersededBy *int64     `json:"supersededBy,omitempty" doc:"The edited copy that has its place"`
	Replaces     *int64     `json:"replaces,omitempty" doc:"The message of which this is an edited copy"`
	Whole        bool       `json:"whole" doc:"False: it was cut when it was set aside, and cannot be redriven without an edit"`
}

// DeadLetterDetail is a dead letter with what it holds.
type DeadLetterDetail struct {
	DeadLetter
	Payload       masking.View       `json:"payload,omitzero" doc:"The value, where it is JSON"`
	PayloadBase64 masking.Bytes      `json:"payloadBase64,omitzero" doc:"The value in base64, where it is not JSON"`
	Masked        string             `json:"masked,omitempty" doc:"What of the payload is hidden from you, in words; absent: nothing is"`
	Encoding      string             `json:"encoding,omitempty" doc:"How the payload travels, such as encrypted with which key; absent: as it is. It is shown decoded where the service can"`
	PayloadBytes  int64              `json:"payloadBytes" doc:"Its length before it was cut"`
	Headers       []DeadLetterHeader `json:"headers" nullable:"false"`
	Waiting       []ParkedMessage    `json:"waiting" nullable:"false" doc:"What waits behind it, in order; 100 at most"`
	HandledBy     []HandledMessage   `json:"handledBy" nullable:"false" doc:"Consumers of this database that have handled the message: a redrive is a duplicate to them"`
	GroupNote     *DeadLetterNote    `json:"groupNote,omitempty" doc:"Who looks at the dead letters of its group, and what is known of them"`
}

// DeadLetterNote is what operators know of a group.
type DeadLetterNote struct {
	Owner     string    `json:"owner,omitempty" doc:"Who looks at them"`
	Note      string    `json:"note,omitempty" doc:"What is known of them, such as a ticket"`
	By        string    `json:"by" doc:"Who wrote it"`
	ChangedAt time.Time `json:"changedAt"`
	Revision  int       `json:"revision" doc:"Grows with each change; the ETag of the note"`
}

// toNote returns nil for a note that was removed, or never written.
func toNote(n deadletter.GroupNote) *DeadLetterNote {
	if n.Empty() {
		return nil
	}
	note := DeadLetterNote(n)
	return &note
}

// DeadLetterHeader is one Kafka header.
type DeadLetterHeader struct {
	Key   string `json:"key"`
	Value string `json:"value" doc:"As text; bytes that are none are replaced"`
}

// ParkedMessage is a message that waits behind another one.
type ParkedMessage struct {
	ID         int64      `json:"id"`
	State      string     `json:"state" enum:"dead,parked"`
	Type       string     `json:"type"`
	EventID    *uuid.UUID `json:"eventId,omitempty"`
	Partition  int32      `json:"partition"`
	Offset     int64      `json:"offset"`
	SetAsideAt time.Time  `json:"setAsideAt"`
}

// HandledMessage is a consumer that has handled a message.
type HandledMessage struct {
	Consumer string    `json:"consumer"`
	At       time.Time `json:"at"`
}

// DeadLetterGroup is dead letters of one cause.
type DeadLetterGroup struct {
	Consumer  string    `json:"consumer"`
	Topic     string    `json:"topic"`
	Type      string    `json:"type"`
	Cause     string    `json:"cause"`
	Count     int64     `json:"count"`
	Waiting   int64     `json:"waiting" doc:"Messages that are parked behind them"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	Example   int64     `json:"example" doc:"The id of the newest of them"`
	Hourly    []int64   `json:"hourly" nullable:"false" doc:"How many of them were set aside in each of the last 24 hours, the oldest hour first"`

	Note *DeadLetterNote `json:"note,omitempty" doc:"Who looks at them, and what is known of them"`
}

func toLetter(l deadletter.Letter) DeadLetter {
	return DeadLetter{
		ID: l.ID, State: string(l.State), Revision: l.Revision, Consumer: l.Consumer, Topic: l.Topic, Partition: l.Partition,
		Offset: l.Offset, Key: readable(l.Key), Type: l.Type, EventID: l.EventID, SentAt: l.SentAt, SetAsideAt: l.SetAsideAt,
		ChangedAt: l.ChangedAt, Reason: l.Reason, Cause: l.Cause, Failures: l.Failures, Result: l.Result, Note: l.Note,
		SupersededBy: l.SupersededBy, Replaces: l.Replaces, Whole: l.Whole,
	}
}

// toDetail is a dead letter for who asks.
func (s *Service) toDetail(ctx context.Context, l deadletter.Letter, waiting []deadletter.Waiter, handled []deadletter.Handled, note deadletter.GroupNote) DeadLetterDetail {
	l, encoding := s.revealed(ctx, l)
	shown := s.view(ctx, l)
	d := DeadLetterDetail{
		DeadLetter: s.letter(ctx, l), Masked: shown.Says(), Encoding: encoding, PayloadBytes: l.PayloadBytes, Headers: make([]DeadLetterHeader, len(l.Headers)),
		Waiting: make([]ParkedMessage, len(waiting)), HandledBy: make([]HandledMessage, len(handled)),
		GroupNote: toNote(note),
	}
	if shown.IsJSON() {
		d.Payload = shown
	} else {
		d.PayloadBase64 = masking.Bytes{View: shown}
	}
	for i, h := range l.Headers {
		d.Headers[i] = DeadLetterHeader{h.Key, header(h, shown)}
	}
	for i, w := range waiting {
		d.Waiting[i] = ParkedMessage{w.ID, string(w.State), w.Type, w.EventID, w.Partition, w.Offset, w.SetAsideAt}
	}
	for i, h := range handled {
		d.HandledBy[i] = HandledMessage(h)
	}
	return d
}

func toGroup(g deadletter.Group) DeadLetterGroup {
	return DeadLetterGroup{
		Consumer: g.Consumer, Topic: g.Topic, Type: g.Type, Cause: g.Cause, Count: g.Count, Waiting: g.Waiting,
		FirstSeen: g.FirstSeen, LastSeen: g.LastSeen, Example: g.Example, Hourly: g.Hourly, Note: toNote(g.Note),
	}
}

// header is the value of a header as who is shown the payload may see it.
func header(h deadletter.Header, payload masking.View) string {
	switch {
	case !payload.Hides():
	case h.Key == inbox.HeaderDeadLetterReason:
		return masking.Placeholder // it may quote any of the message
	case payload.IsPart():
		return payload.Scrub(readable(h.Value))
	}
	return readable(h.Value)
}

const maxShown = 2048 // bytes of a key or a header

func readable(b []byte) string {
	text := string(b[:min(len(b), maxShown)])
	if !utf8.ValidString(text) {
		return string([]rune(text)) // invalid bytes become U+FFFD
	}
	return text
}

func etag(l deadletter.Letter) string { return strconv.Quote(strconv.Itoa(l.Revision)) }
