package inbox

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// Header is one Kafka header. Names may repeat. It is an alias of a plain struct, so that a message
// of a Kafka client's own shape can become a Delivery by a conversion.
type Header = struct {
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
	// delivery is part of is durable. It may be lower than Offset+1, while an earlier message of the
	// partition waits; 0 stands for Offset+1.
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

// PlaceID is an id for a message that has none of its own which can be trusted: a version 5 UUID
// (RFC 9562) of topic, partition and offset. A second delivery from the same place has the same.
func (d Delivery) PlaceID() uuid.UUID {
	place := binary.BigEndian.AppendUint32([]byte(d.Topic), uint32(d.Partition))
	return uuid.NewSHA1(placeNamespace, binary.BigEndian.AppendUint64(place, uint64(d.Offset)))
}

// placeNamespace keeps ids made from places apart from every other version 5 UUID.
var placeNamespace = uuid.MustParse("a3c1b0de-5d0f-4b8e-9c3a-7b6f0c1e2d4f")
