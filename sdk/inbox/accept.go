package inbox

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/internal/setup"
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

// Accept records messages as handled by a consumer, inside the transaction that applies their
// effects, in one round trip. It returns the indexes of the entries that are new, in their order;
// the others have been handled before, or stand earlier in the same call. A concurrent transaction
// that holds the same message is waited for: what Accept returns is right also then.
//
// Accept does not distinguish a message that comes again from another one under its id; [Processor]
// does.
func Accept(ctx context.Context, tx pgx.Tx, consumer string, entries []Entry) ([]int, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	accepting, batch := accept(consumer, entries), &pgx.Batch{}
	accepting.queue(batch, uuid.Nil)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("record %d messages in the inbox: %w", len(entries), setup.Explain(err))
	}
	return accepting.fresh(), nil
}

// acceptance is one insert into the inbox.
type acceptance struct {
	consumer string
	entries  []Entry
	digests  []int64          // of each entry
	first    map[[16]byte]int // where each id stands first
	rows     []int            // the entries that stand first, by event id
	isNew    []bool
	now      time.Time // the time of the transaction, where a message is new
	parked   bool      // whether messages of any key wait, where a message is new
}

// The rows go in by event id, so that two consumers of one group that have the same messages for a
// moment (a rebalance) lock them in the same order and cannot deadlock.
func accept(consumer string, entries []Entry) *acceptance {
	n := len(entries)
	a := &acceptance{
		consumer: consumer, entries: entries, digests: make([]int64, n), first: make(map[[16]byte]int, n),
		rows: make([]int, 0, n), isNew: make([]bool, n),
	}
	for i, e := range entries {
		a.digests[i] = e.digest()
		if _, twice := a.first[e.EventID]; !twice {
			a.first[e.EventID] = i
			a.rows = append(a.rows, i)
		}
	}
	slices.SortFunc(a.rows, func(i, j int) int { return bytes.Compare(entries[i].EventID[:], entries[j].EventID[:]) })
	return a
}

// queue adds the insert to a batch. It fails where the inbox does not have the witness, a message
// of an earlier batch (see [Positions]); uuid.Nil asks for none.
func (a *acceptance) queue(batch *pgx.Batch, witness uuid.UUID) {
	sql, args := a.statement(witness)
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		var id [16]byte
		_, err := pgx.ForEachRow(rows, []any{&id, &a.now, &a.parked}, func() error {
			a.isNew[a.first[id]] = true
			return nil
		})
		return err
	})
}

func rawIDs(ids []uuid.UUID) [][16]byte {
	raw := make([][16]byte, len(ids))
	for i, id := range ids {
		raw[i] = id
	}
	return raw
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
