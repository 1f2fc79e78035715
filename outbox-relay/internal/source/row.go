package source

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
	"unsafe"

	"github.com/google/uuid"

	"waybill.example/outbox-relay/internal/cursor"
	"waybill.example/sdk/tracecontext"
)

// Row is one row of the outbox. Its byte slices belong to the Batch that it was read into.
type Row struct {
	ID      int64
	EventID [16]byte
	Topic   string
	Key     []byte // nil: no key
	Type    string
	Payload []byte // nil if Deferred and not loaded
	Headers []byte // the JSON object; nil if Deferred and not loaded
	Created int64  // microseconds since 1970

	// Deferred says that payload and headers were too long to be read along: Session.LoadBodies
	// reads them. Body is how long they are together.
	Deferred bool
	Body     int
	// Batch is the batch that the row was read into.
	Batch *Batch

	// The rest is for the use of the publisher. State is how far the row has come; PermanentError
	// is why a request with it was refused; Failures counts its requests that failed in a way that
	// nobody knows; Quarantined says that it was completed by quarantining it, and Accounted that
	// the cursor knows that it is completed.
	State       State
	Err         error
	Failures    uint8
	Quarantined bool
	Accounted   bool
	// Charged says that the body counts among the bytes in flight, and Gone that the row was not
	// found when it was loaded.
	Charged bool
	Gone    bool
}

// State is how far a row has come on its way to the broker.
type State uint8

// A row is waiting until it is handed to a producer, sent until the broker has answered, and then
// completed: acknowledged, or quarantined as stuck or parked. A suspect is out of the queue while
// it is found out which row of a refused request is the bad one.
const (
	Waiting State = iota
	Sent
	Suspect
	Completed
)

// CreatedAt returns when the row was inserted, in UTC.
func (r *Row) CreatedAt() time.Time { return time.UnixMicro(r.Created).UTC() }

// Loaded says whether payload and headers are there.
func (r *Row) Loaded() bool { return !r.Deferred || r.Headers != nil }

// LogAttrs are what a log line says of the row: its id, topic, type and key, and the trace that it
// belongs to, as trace_id, if its headers are there.
func (r *Row) LogAttrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.Int64("id", r.ID), slog.String("topic", r.Topic), slog.String("type", r.Type), slog.String("key", string(r.Key)),
		slog.Any("event_id", uuid.UUID(r.EventID)),
	}
	var headers map[string]any
	if json.Unmarshal(r.Headers, &headers) == nil {
		if parent, ok := headers[tracecontext.Header].(string); ok {
			attrs = append(attrs, slog.String("trace_id", tracecontext.TraceID(parent)))
		}
	}
	return attrs
}

// Unload lets go of what can be loaded again.
func (r *Row) Unload() {
	if r.Deferred {
		r.Payload, r.Headers = nil, nil
	}
}

// Batch holds rows read together, and their memory, until the last of them is completed.
type Batch struct {
	Rows []*Row
	// IDs are the ids of Rows.
	IDs cursor.Set
	// Incomplete counts the rows that are not completed, and Accounted the first ones that the
	// cursor knows to be.
	Incomplete, Accounted int
	// Origin is why the rows were read, and At when.
	Origin Origin
	At     time.Time

	limit  int
	chunks [][]Row // where Rows point to; they never move
	used   int     // chunks that have rows
	arena  []byte
	full   int // bytes of arenas that are full, and belong to the rows in them
	held   int // bytes of all chunks
}

// Origin is why a batch was read.
type Origin uint8

// The rows of a batch are new, or have been parked and are released, or came after their ids were
// given up.
const (
	New Origin = iota
	Released
	Late
)

// A batch takes little memory for few rows, since there may be thousands of small batches while a
// broker is down.
const (
	smallestChunk, largestChunk = 4, 512
	smallestArena, largestArena = 512, 1 << 20

	rowSize = int(unsafe.Sizeof(Row{}) + unsafe.Sizeof(&Row{}))
)

// NewBatch returns a batch for at most limit rows.
func NewBatch(limit int) *Batch { return &Batch{limit: limit} }

// Bytes is the memory that the batch takes, without what was deferred.
func (b *Batch) Bytes() int { return b.held + b.full + cap(b.arena) }

// Reset empties the batch for its next use.
func (b *Batch) Reset() {
	for i := range b.used {
		clear(b.chunks[i])
		b.chunks[i] = b.chunks[i][:0]
	}
	clear(b.Rows)
	b.Rows = b.Rows[:0]
	b.IDs.Clear()
	b.Incomplete, b.Accounted, b.Origin, b.At = 0, 0, New, time.Time{}
	b.used, b.full = 0, 0
	b.arena = b.arena[:0]
}

// next returns a row that is not in use yet.
func (b *Batch) next() *Row {
	if b.used == 0 || len(b.chunks[b.used-1]) == cap(b.chunks[b.used-1]) {
		if b.used == len(b.chunks) {
			size := smallestChunk
			if b.used > 0 {
				size = min(2*cap(b.chunks[b.used-1]), largestChunk)
			}
			b.chunks = append(b.chunks, make([]Row, 0, size))
			b.held += size * rowSize
		}
		b.used++
	}
	chunk := &b.chunks[b.used-1]
	*chunk = append(*chunk, Row{Batch: b})
	row := &(*chunk)[len(*chunk)-1]
	b.Rows = append(b.Rows, row)
	return row
}

// keep copies value into the batch's memory. A full arena is left to the rows that point into it.
func (b *Batch) keep(value []byte) []byte {
	if value == nil {
		return nil
	}
	if b.arena == nil || cap(b.arena)-len(b.arena) < len(value) {
		b.full += cap(b.arena)
		b.arena = make([]byte, 0, max(min(2*cap(b.arena), largestArena), smallestArena, len(value)))
	}
	start := len(b.arena)
	b.arena = append(b.arena, value...)
	return b.arena[start:len(b.arena):len(b.arena)]
}

// The columns of every statement that reads rows, in the order in which add expects them. So that a
// batch of any rows has a bound, a long payload and wide headers are not read along, but their
// length is. Headers that are compressed may be wide.
const rowColumns = `id, event_id, topic, key, type,
       case when octet_length(payload) <= 8192 then payload end,
       case when pg_column_size(headers) <= 8192 and pg_column_compression(headers) is null then headers end,
       created_at,
       case when octet_length(payload) > 8192 or pg_column_size(headers) > 8192 or pg_column_compression(headers) is not null
            then octet_length(payload)::bigint + octet_length(headers::text) end as body`

const columns = 9

// What Postgres counts timestamps from, in Unix microseconds.
const postgresEpoch = 946684800_000_000

// add appends a row from the binary columns that Postgres sent, which are only valid until the next
// row is read.
func (b *Batch) add(values [][]byte, names *interned) (*Row, error) {
	if len(values) != columns || len(values[0]) != 8 || len(values[1]) != 16 || len(values[7]) != 8 {
		return nil, fmt.Errorf("outbox row has columns of other types than the schema's")
	}
	if len(b.Rows) >= b.limit {
		return nil, fmt.Errorf("batch of %d rows is full", b.limit)
	}
	row := b.next()
	row.ID = int64(binary.BigEndian.Uint64(values[0]))
	row.EventID = [16]byte(values[1])
	row.Topic = names.get(values[2])
	row.Key = b.keep(values[3])
	row.Type = names.get(values[4])
	row.Created = int64(binary.BigEndian.Uint64(values[7])) + postgresEpoch
	if values[8] != nil {
		row.Deferred, row.Body = true, int(binary.BigEndian.Uint64(values[8]))
	} else {
		row.Payload, row.Headers = b.keep(values[5]), b.keep(object(values[6]))
	}
	b.IDs.AddID(row.ID)
	b.Incomplete++
	return row, nil
}

// object is the text of a binary jsonb, which begins with the version of its format.
func object(jsonb []byte) []byte {
	if len(jsonb) == 0 {
		return []byte{}
	}
	return jsonb[1:]
}

// interned keeps one copy of each of the few strings that most rows share.
type interned struct{ strings map[string]string }

const maxInterned = 4096

func (n *interned) get(text []byte) string {
	if s, ok := n.strings[string(text)]; ok {
		return s
	}
	if n.strings == nil || len(n.strings) >= maxInterned {
		n.strings = make(map[string]string)
	}
	s := string(text)
	n.strings[s] = s
	return s
}
