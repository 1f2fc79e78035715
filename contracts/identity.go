package contracts

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// EventID is the id of something that happened to an order: a function of the order, of what
// happened, and, where that can happen more than once to an order, of which time it was (from 0).
// So it is published under one id however often it is published: in answer to a command that is
// asked again, by a service that was restored to an earlier moment and does it again.
//
// It is a version 8 UUID (RFC 9562, section 5.8). It begins with the order's id, so that tables
// keyed by it grow at one end.
func EventID(orderID int64, t Type, ordinal int) uuid.UUID {
	name := binary.BigEndian.AppendUint64([]byte("waybill event\x00"+t+"\x00"), uint64(orderID))
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(name, uint64(ordinal)))
	id := uuid.UUID(sum[:16])
	var order [8]byte
	binary.BigEndian.PutUint64(order[:], uint64(orderID))
	copy(id[:6], order[2:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// NewEvent starts an event that can happen to an order only once, at a time that the sender keeps
// with the order: whenever the event is sent again it has the same id and the same body.
func NewEvent(orderID int64, t Type, at time.Time) Envelope {
	return Envelope{EventID: EventID(orderID, t, 0), Time: at.UTC(), OrderID: orderID}
}

// Answer returns the record as the answer to a command. The answer that tells something new names
// the command as its cause. One that is sent again is the same event, whose cause is another
// command: it names the command in [HeaderInReplyTo]. Other headers are the caller's to add.
func (r Record) Answer(command uuid.UUID, again bool) Record {
	name := HeaderCausationID
	if again {
		name = HeaderInReplyTo
	}
	headers := map[string]string{name: command.String()}
	r.Headers = headers
	return r
}

// ReplyID is the id, for the sender of a command, of an event as the answer to it: the event is the
// same whichever command it answers ([HeaderInReplyTo]), and the answers are not. It is a version 8
// UUID.
func ReplyID(event, command uuid.UUID) uuid.UUID {
	return uuid.NewHash(sha256.New(), event, command[:], 8)
}

// Content returns what of a message's JSON is the same whenever it is sent under one id: all of it
// but the time and the cause. A service that was restored to an earlier moment, and does again what
// it had done, sends the same event at another time, and the same command because of another
// message.
func Content(payload []byte) []byte {
	content := payload
	for _, field := range []string{`"time":"`, `"causationId":"`} {
		content = without(content, field)
	}
	return content
}

// without returns JSON with the value of a string field left out, where it is first. Within another
// string the quotes of what looks like the field have backslashes.
func without(object []byte, field string) []byte {
	at := bytes.Index(object, []byte(field))
	if at < 0 {
		return object
	}
	value := object[at+len(field):]
	end := bytes.IndexByte(value, '"')
	if end < 0 {
		return object
	}
	content := make([]byte, 0, len(object))
	return append(append(content, object[:at]...), value[end:]...)
}
