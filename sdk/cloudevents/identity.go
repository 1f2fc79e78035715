package cloudevents

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/uuid"

	"waybill.example/sdk/tracecontext"
)

// EventID is the id of something that happened: a function of the parts that say what it was. It is
// a version 8 UUID (RFC 9562, section 5.8) of their SHA-256; each part is preceded by its length,
// so that no two lists of parts have the same name.
//
// The function participant_event_id of the migration set "participant" is the same in SQL.
func EventID(parts ...string) uuid.UUID {
	var name []byte
	for _, part := range parts {
		name = append(binary.BigEndian.AppendUint32(name, uint32(len(part))), part...)
	}
	sum := sha256.Sum256(name)
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ReplyID is the id, for the sender of a command, of an event as the answer to that command: the
// event is the same whichever command it answers ([HeaderInReplyTo]), and the answers are not. It
// is a version 8 UUID.
func ReplyID(event, command uuid.UUID) uuid.UUID {
	return uuid.NewHash(sha256.New(), event, command[:], 8)
}

// ReplyHeaders are the headers of an event that answers a command. The answer that says something
// new names the command as its cause. One that is sent again is the same event, which has the first
// command as its cause: it names the command that asked again beside it.
func ReplyHeaders(command uuid.UUID, again bool, traceParent string) map[string]string {
	name := HeaderCausationID
	if again {
		name = HeaderInReplyTo
	}
	return tracecontext.Set(map[string]string{name: command.String()}, traceParent)
}
