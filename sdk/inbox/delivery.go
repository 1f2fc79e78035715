package inbox

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// Header is one Kafka header. Names may repeat.
type Header struct {
	Key   string
	Value []byte
}

// Delivery is one message as it came from Kafka, and where it stood.
type Delivery struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
	Headers   []Header
	Time      time.Time // the timestamp that Kafka has for it
	// Resume is the offset from which the partition has to be read again once the batch that this
	// delivery is part of is durable. It may be lower than Offset+1, while an earlier message of
	// the partition waits; 0 stands for Offset+1.
	Resume int64
}

// Header returns the value of the first header with the given name, "" where there is none.
func (d Delivery) Header(name string) string {
	for _, h := range d.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// PositionID is an id for a message that has none of its own which can be trusted: a version 8 UUID
// (RFC 9562) of where it stood, when Kafka got it and what it said. A second delivery from the same
// place has the same; another message at that place, in a topic that was deleted and made again,
// has another.
func (d Delivery) PositionID() uuid.UUID {
	place := binary.BigEndian.AppendUint32(nil, uint32(d.Partition))
	place = binary.BigEndian.AppendUint64(place, uint64(d.Offset))
	place = binary.BigEndian.AppendUint64(place, uint64(d.Time.UnixMilli()))
	sum := digestOf([]byte("waybill position"), []byte(d.Topic), place, d.Key, d.Value)
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}
