package inbox

import (
	"encoding/binary"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/tracecontext"
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

// maxLogged bounds a key in a log line.
const maxLogged = 128

// LogAttrs are what a log line says of the message: where it stood, its type and key, and the trace
// that it belongs to, as trace_id.
func (d Delivery) LogAttrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("topic", d.Topic), slog.Int("partition", int(d.Partition)), slog.Int64("offset", d.Offset)}
	for _, a := range []slog.Attr{
		slog.String("type", d.Header(headerType)), slog.String("key", string(d.Key[:min(len(d.Key), maxLogged)])),
		slog.String("trace_id", tracecontext.TraceID(d.Header(tracecontext.Header))),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	return attrs
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
