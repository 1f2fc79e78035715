package inbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Entry is a message to be recorded under the id that identifies it.
type Entry struct {
	EventID  uuid.UUID
	Delivery Delivery
	// Content is what of the message's value must be the same whenever it comes under this id. Nil
	// stands for all of it.
	Content []byte
}

func (e Entry) digest() int64 {
	if e.Content == nil {
		return digest(e.Delivery, e.Delivery.Value)
	}
	return digest(e.Delivery, e.Content)
}

// The rows go in by event id, so that two consumers of one group that hold the same messages for a
// moment (a rebalance) lock them in the same order and cannot deadlock.
const acceptSQL = `
insert into inbox (event_id, consumer, topic, "partition", "offset", digest)
select event_id, $1, topic, "partition", "offset", digest
from unnest($2::uuid[], $3::text[], $4::int[], $5::bigint[], $6::bigint[])
  as m (event_id, topic, "partition", "offset", digest)
order by event_id
on conflict do nothing
returning event_id, now()`

// Accept records messages as handled by a consumer, inside the transaction that applies their
// effects, in one round trip. It returns the indexes of the entries that are new, in their order;
// the others have been handled before, or stand earlier in the same call. A concurrent transaction
// that holds the same message is waited for: Accept tells the truth also then.
//
// Accept does not tell a message that comes again from another one under the same id; [Processor]
// does.
func Accept(ctx context.Context, tx pgx.Tx, consumer string, entries []Entry) ([]int, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	accepting, batch := accept(consumer, entries), &pgx.Batch{}
	accepting.queue(batch)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("record %d messages in the inbox: %w", len(entries), err)
	}
	return accepting.fresh(), nil
}

// acceptance is one insert into the inbox.
type acceptance struct {
	sql     string
	args    []any
	entries []Entry
	digests []int64          // of each entry
	first   map[[16]byte]int // where each id stands first
	isNew   []bool
	now     time.Time // the time of the transaction, where a message is new
}

func accept(consumer string, entries []Entry) *acceptance {
	n := len(entries)
	a := &acceptance{entries: entries, digests: make([]int64, n), first: make(map[[16]byte]int, n), isNew: make([]bool, n)}
	ids, topics := make([][16]byte, 0, n), make([]string, 0, n) // what pgx encodes as it is
	partitions, offsets, digests := make([]int32, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	for i, e := range entries {
		a.digests[i] = e.digest()
		if _, twice := a.first[e.EventID]; twice {
			continue
		}
		a.first[e.EventID] = i
		ids, topics = append(ids, e.EventID), append(topics, e.Delivery.Topic)
		partitions, offsets = append(partitions, e.Delivery.Partition), append(offsets, e.Delivery.Offset)
		digests = append(digests, a.digests[i])
	}
	a.sql, a.args = acceptSQL, []any{consumer, ids, topics, partitions, offsets, digests}
	return a
}

// As acceptSQL, where the inbox has to have a message of an earlier batch (see [Positions]). It costs 2 µs
// here, and more in a statement of its own.
const acceptAfterSQL = `
insert into inbox (event_id, consumer, topic, "partition", "offset", digest)
select event_id, $1, topic, "partition", "offset", digest
from unnest($2::uuid[], $3::text[], $4::int[], $5::bigint[], $6::bigint[])
  as m (event_id, topic, "partition", "offset", digest)
where case when exists (select from inbox where consumer = $1 and event_id = $7) then true
      else inbox_expect_positions(0, 1) is null end
order by event_id
on conflict do nothing
returning event_id, now()`

// after has the statement fail where the inbox does not have a message.
func (a *acceptance) after(witness uuid.UUID) {
	a.sql, a.args = acceptAfterSQL, append(a.args, [16]byte(witness))
}

func rawIDs(ids []uuid.UUID) [][16]byte {
	raw := make([][16]byte, len(ids))
	for i, id := range ids {
		raw[i] = id
	}
	return raw
}

func (a *acceptance) queue(batch *pgx.Batch) {
	batch.Queue(a.sql, a.args...).Query(func(rows pgx.Rows) error {
		var id [16]byte
		_, err := pgx.ForEachRow(rows, []any{&id, &a.now}, func() error {
			a.isNew[a.first[id]] = true
			return nil
		})
		return err
	})
}

// fresh returns the indexes of the new entries.
func (a *acceptance) fresh() []int {
	fresh := make([]int, 0, len(a.isNew))
	for i, yes := range a.isNew {
		if yes {
			fresh = append(fresh, i)
		}
	}
	return fresh
}
