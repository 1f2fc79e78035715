package deadletter

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Addition is a message to be set aside: dead for a reason, or, without one, parked.
type Addition struct {
	Message
	// KeyID is its queue; uuid.Nil: no other message waits for it.
	KeyID  uuid.UUID
	Reason error
}

const addSQL = `
insert into dead_letters (consumer, topic, "partition", "offset", sent_at, key, type, event_id, decoded, headers, payload,
    payload_bytes, whole, key_id, state, reason, cause, failures)
select $1, topic, "partition", "offset", sent_at, key, type, event_id, decoded, headers::json, payload,
    payload_bytes, whole, key_id, case when reason = '' then 'parked' else 'dead' end, reason, cause, (reason <> '')::int
from unnest($2::text[], $3::int[], $4::bigint[], $5::timestamptz[], $6::bytea[], $7::text[], $8::uuid[], $9::bool[], $10::text[],
    $11::bytea[], $12::bigint[], $13::bool[], $14::uuid[], $15::text[], $16::text[])
  as m (topic, "partition", "offset", sent_at, key, type, event_id, decoded, headers, payload, payload_bytes, whole, key_id, reason, cause)`

// The row is locked, whether it is new or not.
const openSQL = `
insert into parked_keys (consumer, key_id)
select $1, key_id from unnest($2::uuid[]) as k (key_id) order by key_id
on conflict (consumer, key_id) do update set run_at = parked_keys.run_at`

// Add queues the statements that set messages of a consumer aside, in their order. Sent on a
// transaction, they are part of it.
func Add(batch *pgx.Batch, consumer string, additions ...Addition) error {
	if len(additions) == 0 {
		return nil
	}
	var c columns
	keys := make(map[uuid.UUID]bool)
	for _, a := range additions {
		if err := c.add(a); err != nil {
			return fmt.Errorf("set %s/%d/%d aside: %w", a.Topic, a.Partition, a.Offset, err)
		}
		if a.KeyID != uuid.Nil {
			keys[a.KeyID] = true
		}
	}
	list := make([]uuid.UUID, 0, len(keys))
	for key := range keys {
		list = append(list, key)
	}
	if len(list) > 0 {
		batch.Queue(openSQL, consumer, raw(list))
	}
	batch.Queue(addSQL, append([]any{consumer}, c.args()...)...)
	Settle(batch, consumer, list...)
	return nil
}

// columns is additions as one array per column.
type columns struct {
	topics       []string
	partitions   []int32
	offsets      []int64
	sentAt       []pgtype.Timestamptz
	keys         pgtype.FlatArray[[]byte]
	types        []string
	eventIDs     []pgtype.UUID
	decoded      []bool
	headers      []string
	payloads     pgtype.FlatArray[[]byte]
	payloadBytes []int64
	whole        []bool
	keyIDs       []pgtype.UUID
	reasons      []string
	causes       []string
}

func (c *columns) args() []any {
	return []any{
		c.topics, c.partitions, c.offsets, c.sentAt, c.keys, c.types, c.eventIDs, c.decoded, c.headers,
		c.payloads, c.payloadBytes, c.whole, c.keyIDs, c.reasons, c.causes,
	}
}

func (c *columns) add(a Addition) error {
	m := a.bounded()
	headers, err := encodeHeaders(m.Headers)
	if err != nil {
		return err
	}
	c.topics, c.partitions, c.offsets = append(c.topics, m.Topic), append(c.partitions, m.Partition), append(c.offsets, m.Offset)
	var sentAt pgtype.Timestamptz
	if m.SentAt != nil && !m.SentAt.IsZero() {
		sentAt = pgtype.Timestamptz{Time: *m.SentAt, Valid: true}
	}
	c.sentAt = append(c.sentAt, sentAt)
	c.keys, c.types = append(c.keys, m.Key), append(c.types, m.Type)
	var eventID pgtype.UUID
	if m.EventID != nil {
		eventID = pgtype.UUID{Bytes: *m.EventID, Valid: true}
	}
	c.eventIDs, c.decoded = append(c.eventIDs, eventID), append(c.decoded, m.Decoded)
	if m.Payload == nil {
		m.Payload = []byte{}
	}
	c.headers, c.payloads = append(c.headers, headers), append(c.payloads, m.Payload)
	c.payloadBytes, c.whole = append(c.payloadBytes, m.PayloadBytes), append(c.whole, m.Whole)
	c.keyIDs = append(c.keyIDs, pgtype.UUID{Bytes: a.KeyID, Valid: a.KeyID != uuid.Nil})
	var reason, cause string
	if a.Reason != nil {
		reason, cause = reasonText(a.Reason), Cause(a.Reason)
	}
	c.reasons, c.causes = append(c.reasons, reason), append(c.causes, cause)
	return nil
}

func reasonText(reason error) string {
	if text := cut(reason.Error(), maxReason); text != "" {
		return text
	}
	return "unknown"
}

func encodeHeaders(headers []Header) (string, error) {
	if len(headers) == 0 {
		return "[]", nil
	}
	encoded, err := json.Marshal(headers)
	if err != nil {
		return "", fmt.Errorf("encode headers: %w", err)
	}
	return string(encoded), nil
}

const settleSQL = `
with head as (
    select k.key_id, (
        select d.state from dead_letters d
        where d.consumer = $1 and d.key_id = k.key_id and d.state in ('dead', 'parked')
        order by d.place limit 1) as state
    from unnest($2::uuid[]) as k (key_id)),
gone as (
    delete from parked_keys p using head h where p.consumer = $1 and p.key_id = h.key_id and h.state is null)
update parked_keys p
set run_at = case when h.state = 'parked' then coalesce(p.run_at, now()) end
from head h
where p.consumer = $1 and p.key_id = h.key_id and h.state is not null
  and p.run_at is distinct from case when h.state = 'parked' then coalesce(p.run_at, now()) end`

// Settle queues what brings the rows of queues up to date, after their messages have changed. The
// transaction must hold their locks.
func Settle(batch *pgx.Batch, consumer string, keys ...uuid.UUID) {
	if len(keys) > 0 {
		batch.Queue(settleSQL, consumer, raw(keys))
	}
}

func raw(keys []uuid.UUID) [][16]byte {
	all := make([][16]byte, len(keys))
	for i, key := range keys {
		all[i] = key
	}
	return all
}

const lockSQL = `
select key_id from parked_keys where consumer = $1 and key_id = any($2) order by key_id for update`

// Lock queues what locks those of the queues that have messages, in an order that keeps two
// transactions from deadlocking, and adds them to found.
func Lock(batch *pgx.Batch, consumer string, keys []uuid.UUID, found map[uuid.UUID]bool) {
	batch.Queue(lockSQL, consumer, raw(keys)).Query(func(rows pgx.Rows) error {
		var key uuid.UUID
		_, err := pgx.ForEachRow(rows, []any{&key}, func() error {
			found[key] = true
			return nil
		})
		return err
	})
}

const existSQL = `select exists (select from parked_keys where consumer = $1 and key_id = any($2))`

// Exist queues the question whether any of the queues has messages, as of now.
func Exist(batch *pgx.Batch, consumer string, keys []uuid.UUID, exist *bool) {
	batch.Queue(existSQL, consumer, raw(keys)).QueryRow(func(row pgx.Row) error { return row.Scan(exist) })
}

const selectSQL = `
select id, consumer, topic, "partition", "offset", sent_at, key, type, event_id, decoded, headers::text, payload, payload_bytes, whole,
    key_id, replaces, place, state, reason, cause, failures, result, note, revision, set_aside_at, changed_at, superseded_by
from dead_letters
`

func scan(row pgx.CollectableRow) (Letter, error) {
	var l Letter
	var headers string
	err := row.Scan(&l.ID, &l.Consumer, &l.Topic, &l.Partition, &l.Offset, &l.SentAt, &l.Key, &l.Type, &l.EventID, &l.Decoded,
		&headers, &l.Payload, &l.PayloadBytes, &l.Whole, &l.KeyID, &l.Replaces, &l.Place, &l.State, &l.Reason, &l.Cause,
		&l.Failures, &l.Result, &l.Note, &l.Revision, &l.SetAsideAt, &l.ChangedAt, &l.SupersededBy)
	if err == nil {
		err = json.Unmarshal([]byte(headers), &l.Headers)
	}
	return l, err
}

const headSQL = selectSQL + `
where consumer = $1 and key_id = $2 and state in ('dead', 'parked')
order by place limit 1`

// Head locks a queue and returns its first message; nil where the queue is empty.
func Head(ctx context.Context, tx pgx.Tx, consumer string, key uuid.UUID) (*Letter, error) {
	batch, head := &pgx.Batch{}, (*Letter)(nil)
	Lock(batch, consumer, []uuid.UUID{key}, make(map[uuid.UUID]bool))
	batch.Queue(headSQL, consumer, [16]byte(key)).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, scan)
		if len(found) > 0 {
			head = &found[0]
		}
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("lock the queue of a key: %w", err)
	}
	return head, nil
}

const closeSQL = `
update dead_letters set state = 'redriven', result = $2, revision = revision + 1, changed_at = now()
where id = $1`

// Close queues what says that the first message of a queue was applied (result: applied), or was
// handled before (duplicate), or is not addressed to this consumer (skipped).
func (l *Letter) Close(batch *pgx.Batch, result string) {
	batch.Queue(closeSQL, l.ID, result)
	l.settle(batch)
}

const failSQL = `
update dead_letters set state = 'dead', reason = $2, cause = $3, failures = failures + 1, revision = revision + 1, changed_at = now()
where id = $1`

// Fail queues what says that the first message of a queue could not be applied.
func (l *Letter) Fail(batch *pgx.Batch, reason error) {
	batch.Queue(failSQL, l.ID, reasonText(reason), Cause(reason))
	l.settle(batch)
}

func (l *Letter) settle(batch *pgx.Batch) {
	if l.KeyID != nil {
		Settle(batch, l.Consumer, *l.KeyID)
	}
}

const dueSQL = `
select key_id from parked_keys where consumer = $1 and run_at <= now() order by run_at limit $2`

// Due returns queues whose first message is to be applied now.
func Due(ctx context.Context, db *pgxpool.Pool, consumer string, limit int) ([]uuid.UUID, error) {
	rows, err := db.Query(ctx, dueSQL, consumer, limit)
	if err != nil {
		return nil, fmt.Errorf("look for queues of %s to work off: %w", consumer, err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("look for queues of %s to work off: %w", consumer, err)
	}
	return keys, nil
}

const postponeSQL = `
update parked_keys set run_at = now() + $3 where consumer = $1 and key_id = $2 and run_at is not null`

// Postpone has a queue wait, because its first message could not be applied for a reason outside of
// the message.
func Postpone(ctx context.Context, db *pgxpool.Pool, consumer string, key uuid.UUID, d time.Duration) error {
	if _, err := db.Exec(ctx, postponeSQL, consumer, [16]byte(key), d); err != nil {
		return fmt.Errorf("postpone the queue of a key: %w", err)
	}
	return nil
}
