package source

import (
	"encoding/binary"
	"fmt"
	"time"

	"waybill/outbox-relay/internal/cursor"
)

// Row is one row of the outbox. Its byte slices belong to the Batch that it was read into.
type Row struct {
	ID      int64
	EventID [16]byte
	Topic   string
	Key     []byte // nil: no key
	Type    string
	Payload []byte // nil if Deferred and not loaded
	Headers []byte // the JSON object
	Created int64  // microseconds since 1970

	// Deferred says that the payload was too long to be read along: Session.LoadPayload reads it.
	Deferred bool
	// Batch is the batch that the row was read into.
	Batch *Batch
	// State, Refusal and Aside are for the use of whoever publishes the row: how far it has come, why it was
	// refused, and whether it was settled by setting it aside.
	State   State
	Refusal error
	Aside   bool
}

// State is how far a row has come on its way to the broker.
type State uint8

// A row is waiting until it is handed to the producer, sent until the broker has answered, and then settled:
// acknowledged, or set aside as stuck or parked.
const (
	Waiting State = iota
	Sent
	Settled
)

// CreatedAt returns when the row was inserted, in UTC.
func (r *Row) CreatedAt() time.Time { return time.UnixMicro(r.Created).UTC() }

// Batch holds rows read together, and their memory, until the last of them is settled.
type Batch struct {
	Rows []Row
	// IDs are the ids of Rows.
	IDs cursor.Set
	// Unsettled counts the rows that are not settled.
	Unsettled int
	// Origin is why the rows were read.
	Origin Origin
	// Bytes is the memory that the rows' columns take, without deferred payloads.
	Bytes int

	arena []byte
}

// Origin is why a batch was read.
type Origin uint8

// The rows of a batch are new, or have been parked and are released, or came after their ids were given up.
const (
	New Origin = iota
	Released
	Late
)

const arenaSize = 1 << 20

// NewBatch returns a batch with room for capacity rows.
func NewBatch(capacity int) *Batch { return &Batch{Rows: make([]Row, 0, capacity)} }

// Reset empties the batch for its next use.
func (b *Batch) Reset() {
	clear(b.Rows)
	b.Rows = b.Rows[:0]
	b.IDs.Clear()
	b.Unsettled, b.Bytes, b.Origin = 0, 0, New
	b.arena = b.arena[:0]
}

// keep copies value into the batch's memory. A full arena is left to the rows that point into it.
func (b *Batch) keep(value []byte) []byte {
	if value == nil {
		return nil
	}
	if b.arena == nil || cap(b.arena)-len(b.arena) < len(value) {
		b.arena = make([]byte, 0, max(arenaSize, len(value)))
	}
	start := len(b.arena)
	b.arena = append(b.arena, value...)
	b.Bytes += len(value)
	return b.arena[start:len(b.arena):len(b.arena)]
}

// The columns of every statement that reads rows, in the order in which add expects them.
const rowColumns = `id, event_id, topic, key, type, case when octet_length(payload) <= 8192 then payload end, headers, created_at`

// What Postgres counts timestamps from, in Unix microseconds.
const postgresEpoch = 946684800_000_000

// add appends a row from the binary columns that Postgres sent, which are only valid until the next row is read.
func (b *Batch) add(columns [][]byte, names *interned) (*Row, error) {
	if len(columns) != 8 || len(columns[0]) != 8 || len(columns[1]) != 16 || len(columns[6]) == 0 || len(columns[7]) != 8 {
		return nil, fmt.Errorf("outbox row has columns of other types than the schema's")
	}
	if len(b.Rows) == cap(b.Rows) {
		return nil, fmt.Errorf("batch of %d rows is full", cap(b.Rows))
	}
	b.Rows = b.Rows[:len(b.Rows)+1]
	row := &b.Rows[len(b.Rows)-1]
	*row = Row{
		ID:       int64(binary.BigEndian.Uint64(columns[0])),
		EventID:  [16]byte(columns[1]),
		Topic:    names.get(columns[2]),
		Key:      b.keep(columns[3]),
		Type:     names.get(columns[4]),
		Payload:  b.keep(columns[5]),
		Headers:  b.keep(columns[6][1:]), // after the version of the jsonb format
		Created:  int64(binary.BigEndian.Uint64(columns[7])) + postgresEpoch,
		Deferred: columns[5] == nil,
		Batch:    b,
	}
	b.IDs.AddID(row.ID)
	b.Unsettled++
	return row, nil
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
