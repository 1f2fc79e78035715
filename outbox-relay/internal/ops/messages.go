package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/masking"
	"waybill.example/sdk/inbox"
)

// KeyMessages is what one database knows of the messages of one key.
type KeyMessages struct {
	Database string `json:"database"`
	// Paused and Leader are the state of the relay of this database; an empty leader: nobody has
	// led yet.
	Paused bool   `json:"paused"`
	Leader string `json:"leader"`
	// Ahead counts the rows that are published before the oldest pending one of these, up to
	// 100,000.
	Ahead    int64     `json:"ahead"`
	Messages []Message `json:"messages"`
}

// Message is an outbox row.
type Message struct {
	RowSummary
	Status string `json:"status"`
	// Headers are null where they are longer than 16 KiB.
	Headers       json.RawMessage `json:"headers"`
	Error         string          `json:"error,omitzero"`
	Attempts      int32           `json:"attempts,omitzero"`
	StuckAt       *time.Time      `json:"stuckAt,omitzero"`
	NextAttemptAt *time.Time      `json:"nextAttemptAt,omitzero"`
	// Payload is the first 64 KiB of it, where it was asked for; PayloadBytes is how long it is.
	Payload      []byte `json:"-"` // what an API may show of it is Shown
	PayloadBytes int64  `json:"payloadBytes"`
	Shown
}

// Shown is what an API shows of a payload to who asks.
type Shown struct {
	View masking.Bytes `json:"payload,omitzero" db:"-"`
	// Masked says what of it is hidden, in words.
	Masked string `json:"masked,omitempty" db:"-" doc:"What of the payload is hidden from you, in words; absent: nothing is."`
}

// Show makes what a role may see of the payload and the headers.
func (m *Message) Show(masks *masking.Rules, role admin.Role) {
	m.Shown, m.Headers = show(masks, role, m.RowSummary, m.Payload, m.Headers)
}

// Show makes what a role may see of the payload and the headers.
func (r *Row) Show(masks *masking.Rules, role admin.Role) {
	r.Shown, r.Headers = show(masks, role, r.RowSummary, r.Payload, r.Headers)
}

func show(masks *masking.Rules, role admin.Role, of RowSummary, payload []byte, headers json.RawMessage) (Shown, json.RawMessage) {
	view := masks.Message(role, of.Topic, of.Type, payload)
	if masks.HidesMessage(role, of.Topic, of.Type) {
		headers = withoutReason(headers)
	}
	return Shown{masking.Bytes{View: view}, view.Says()}, headers
}

// withoutReason are headers without why a message was set aside, which may quote it.
func withoutReason(headers json.RawMessage) json.RawMessage {
	if !bytes.Contains(headers, []byte(inbox.HeaderDeadLetterReason)) {
		return headers
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(headers, &all) != nil {
		all = nil // it is longer than what is shown
	}
	hidden, _ := json.Marshal(masking.Placeholder) // a string
	if all == nil {
		return hidden
	}
	all[inbox.HeaderDeadLetterReason] = hidden
	changed, _ := json.Marshal(all) // it was decoded a moment ago
	return changed
}

const (
	// The limits of one have each row looked up by its id: a join may walk the primary key down to
	// where the key's rows are, which took 60 ms where they were 50,000 rows back.
	keyMessagesSQL = `
select s.id, s.event_id::text, s.topic, s.key, s.type, s.created_at, s.status,
       case when length(o.headers::text) <= 16384 then o.headers end,
       left(coalesce(s.error, ''), 4096), coalesce(s.attempts, 0), s.stuck_at, s.next_attempt_at,
       case when $3 then substring(o.payload from 1 for 65536) end, octet_length(o.payload)
  from (select id from public.outbox where key = $1 order by id desc limit $2) k
 cross join lateral (select * from public.outbox_status t where t.id = k.id limit 1) s
 cross join lateral (select * from public.outbox t where t.id = k.id limit 1) o
 order by s.id desc`
	keyRelaySQL = `select paused, leader from public.outbox_cursor`
	// Counts no further than a person wants to know, and reads no row twice.
	aheadSQL = `
select count(*)
  from (select from public.outbox o, public.outbox_cursor c
         where o.id < $1 and o.id > coalesce(upper(range_merge(c.published)), 0) limit 100000) as ahead`
)

// Messages returns the newest messages of a key, oldest first, with their payloads if asked for,
// and how the relay of the database is.
func (d *Database) Messages(ctx context.Context, key string, limit int, payloads bool) (KeyMessages, error) {
	found := KeyMessages{Database: d.Name}
	err := pgx.BeginTxFunc(ctx, d.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, keyRelaySQL).Scan(&found.Paused, &found.Leader); err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, keyMessagesSQL, key, limit, payloads)
		var err error
		if found.Messages, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Message]); err != nil {
			return err
		}
		slices.Reverse(found.Messages)
		oldest := slices.IndexFunc(found.Messages, func(m Message) bool { return m.Status == "pending" })
		if oldest < 0 {
			return nil
		}
		return tx.QueryRow(ctx, aheadSQL, found.Messages[oldest].ID).Scan(&found.Ahead)
	})
	if err != nil {
		return found, fmt.Errorf("look for messages of a key in database %s: %w", d.Name, err)
	}
	return found, nil
}

// Delivery is a message that a consumer has handled, as its inbox remembers it.
type Delivery struct {
	EventID   string    `json:"eventId"`
	Consumer  string    `json:"consumer"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	HandledAt time.Time `json:"handledAt"`
}

const deliveriesSQL = `
select event_id::text, consumer, topic, "partition", "offset", handled_at
  from public.inbox
 where event_id = any($1::uuid[])
 order by handled_at, event_id, consumer
 limit 1000`

// Deliveries returns where events were handled by the consumers of this database, the earliest
// first.
func (d *Database) Deliveries(ctx context.Context, events []string) ([]Delivery, error) {
	return collect[Delivery](ctx, d, "look for deliveries", deliveriesSQL, events)
}
