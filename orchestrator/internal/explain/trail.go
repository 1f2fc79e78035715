package explain

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/masking"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga"
)

// Trail is what a saga sent and was sent, with what the messages say, and what its data was after
// each transition.
type Trail struct {
	Messages []SentMessage `json:"messages" nullable:"false" doc:"Of all outboxes that could be asked, oldest first"`
	Data     []DataLine    `json:"data" nullable:"false" doc:"For each transition the saga's data after it"`
	Sources  []SourceState `json:"sources" nullable:"false" doc:"What was asked"`

	definition string
}

// Shown is a trail with the payloads and the data as a role may see them. Before it has none.
func (t Trail) Shown(masks *masking.Rules, role admin.Role) Trail {
	for i := range t.Messages {
		m := &t.Messages[i]
		m.Payload = masks.Message(role, m.Topic, m.Type, m.raw)
		m.Masked = cmp.Or(m.Payload.Says(), m.Masked)
		if _, has := m.Headers[inbox.HeaderDeadLetterReason]; has && masks.HidesMessage(role, m.Topic, m.Type) {
			m.Headers = maps.Clone(m.Headers)
			m.Headers[inbox.HeaderDeadLetterReason] = masking.Placeholder // it may quote any of it
		}
	}
	for i := range t.Data {
		t.Data[i].Data = masks.Saga(role, t.definition, t.Data[i].raw)
	}
	return t
}

// SentMessage is a row of an outbox, and who handled it.
type SentMessage struct {
	Database     string            `json:"database" doc:"Whose outbox it is in"`
	ID           int64             `json:"id" doc:"Of the row"`
	EventID      uuid.UUID         `json:"eventId"`
	Topic        string            `json:"topic"`
	Key          string            `json:"key"`
	Type         string            `json:"type"`
	CreatedAt    time.Time         `json:"createdAt"`
	Status       string            `json:"status" doc:"published, pending, stuck or parked"`
	Error        string            `json:"error,omitempty"`
	Cause        *uuid.UUID        `json:"cause,omitempty" doc:"The message that it answers"`
	Headers      map[string]string `json:"headers,omitempty"`
	Payload      masking.View      `json:"payload,omitzero" doc:"As it is in the outbox; a string where it is no JSON"`
	Masked       string            `json:"masked,omitempty" doc:"What of the payload is hidden from you, in words; absent: nothing is"`
	Encoding     string            `json:"encoding,omitempty" doc:"How the payload travels, such as encrypted with which key; absent: as it is. It is shown decoded where this process can"`
	PayloadBytes int64             `json:"payloadBytes" doc:"How long it is; of more than 64 KiB the beginning is shown"`
	PublishedAt  *time.Time        `json:"publishedAt,omitempty" doc:"The time of its record in Kafka, where that could be read"`
	Handled      []Handling        `json:"handled,omitempty" doc:"Who has handled it"`

	raw []byte // what Shown makes Payload of
}

// Handling is where and when a consumer handled a message.
type Handling struct {
	Database  string    `json:"database"`
	Consumer  string    `json:"consumer"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	At        time.Time `json:"at"`
}

// DataLine is a saga's data after one transition.
type DataLine struct {
	Seq  int          `json:"seq" doc:"Of the transition"`
	Data masking.View `json:"data,omitzero" doc:"Absent where it is not known"`
	Why  string       `json:"why,omitempty" doc:"Why it is not known"`

	raw json.RawMessage // what Shown makes Data of
}

// Trail makes the trail of a saga. Data is not stored with each transition: what it was is worked
// out again from the messages, as decode reads them, and from what edits wrote, by revision. It is
// pure, if decode is.
func (s Evidence) Trail(decode func(inbox.Delivery) (saga.Message, error), edits map[int]json.RawMessage) Trail {
	t := Trail{Messages: []SentMessage{}, Data: []DataLine{}, Sources: s.Sources()}
	read := map[uuid.UUID]saga.Message{} // by the ids under which the history knows them
	for _, d := range s.Databases {
		for _, m := range d.Sent {
			t.Messages = append(t.Messages, s.sentMessage(d.Name, m))
			if int64(len(m.Payload)) < m.PayloadBytes || m.Masked != "" {
				continue
			}
			if message, err := decode(m.delivery(s.ID)); err == nil {
				read[message.ID] = message
			}
		}
	}
	slices.SortStableFunc(t.Messages, func(a, b SentMessage) int { return a.CreatedAt.Compare(b.CreatedAt) })
	if s.Saga != nil {
		t.definition, t.Data = s.Saga.Definition, s.data(read, edits)
	}
	return t
}

func (m Message) delivery(key string) inbox.Delivery {
	d := inbox.Delivery{Topic: m.Topic, Key: []byte(key), Value: m.Payload, Time: m.CreatedAt}
	for name, value := range m.Headers {
		d.Headers = append(d.Headers, inbox.Header{Key: name, Value: []byte(value)})
	}
	return d
}

func (s Evidence) sentMessage(database string, m Message) SentMessage {
	sent := SentMessage{
		Database: database, ID: m.ID, EventID: m.EventID, Topic: m.Topic, Key: s.ID, Type: m.Type, CreatedAt: m.CreatedAt.UTC(),
		Status: m.Status, Error: m.Error, Cause: m.Cause, Headers: m.Headers, PayloadBytes: m.PayloadBytes, Encoding: m.Encoding, Masked: m.Masked,
	}
	if sent.raw = m.Payload; len(m.Payload) > 0 && !json.Valid(m.Payload) {
		text := string(m.Payload)
		if m.Encoding != "" {
			text = m.Encoding
		}
		sent.raw, _ = json.Marshal(text) // text can always be encoded
	}
	for _, d := range s.Databases {
		for _, h := range d.Deliveries {
			if h.EventID != m.EventID {
				continue
			}
			sent.Handled = append(sent.Handled, Handling{d.Name, h.Consumer, h.Topic, h.Partition, h.Offset, h.At.UTC()})
			if record, known := s.Records[Place{h.Topic, h.Partition, h.Offset}]; known && h.Topic == m.Topic {
				at := record.At.UTC()
				sent.PublishedAt = &at
			}
		}
	}
	return sent
}

// data is what the saga's data was after each transition. The last one that changed it is held
// against what is stored.
func (s Evidence) data(read map[uuid.UUID]saga.Message, edits map[int]json.RawMessage) []DataLine {
	def, known := s.Registry.Definition(s.Saga.Definition, s.Saga.Version)
	lines := make([]DataLine, len(s.History))
	var data json.RawMessage
	why := "its definition is not registered here"
	if known {
		why = "the saga has not begun"
	}
	for i, l := range s.History {
		edited, isEdit := edits[l.Seq]
		message, isRead := saga.Message{}, false
		if l.CauseID != nil {
			message, isRead = read[*l.CauseID]
		}
		applied := l.Kind == string(saga.Started) || l.Kind == string(saga.Replied) || l.Kind == string(saga.LateSuccess)
		switch {
		case isEdit:
			data, why = edited, ""
		case l.Kind == string(saga.Intervened) && (l.CauseType == string(saga.ActEditData) || l.CauseType == string(saga.ActResolve) && known && def.Keeps(l.Step)):
			data, why = nil, "what the operator changed is not in the audit log any more"
		case !applied || !known:
		case !isRead && (l.Kind == string(saga.Started) || def.Keeps(l.Step)):
			data, why = nil, "the message that changed it is not in an outbox that could be asked"
		case isRead && (why == "" || l.Kind == string(saga.Started)):
			var err error
			if data, err = def.Kept(data, l.Step, message); err != nil {
				data, why = nil, err.Error()
			} else {
				why = ""
			}
		}
		lines[i] = DataLine{Seq: l.Seq, raw: data, Why: why}
	}
	return s.checked(lines)
}

// checked holds what was worked out against what is stored, which is the truth.
func (s Evidence) checked(lines []DataLine) []DataLine {
	if len(lines) == 0 {
		return lines
	}
	last := &lines[len(lines)-1]
	if last.Why == "" && !sameJSON(last.raw, s.Saga.Data) {
		for i := range lines {
			lines[i] = DataLine{Seq: lines[i].Seq, Why: "what the messages say does not lead to what is stored"}
		}
	}
	last.raw, last.Why = s.Saga.Data, ""
	return lines
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	for raw, into := range map[*json.RawMessage]*any{&a: &x, &b: &y} {
		d := json.NewDecoder(bytes.NewReader(*raw))
		d.UseNumber()
		if d.Decode(into) != nil {
			return false
		}
	}
	left, _ := json.Marshal(x) // decoded a moment ago
	right, _ := json.Marshal(y)
	return bytes.Equal(left, right)
}
