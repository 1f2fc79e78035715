package inbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/outbox"
)

// attempt is one attempt at one batch, in one transaction.
type attempt[M, S any] struct {
	*Processor[M, S]
	batch     []decoded[M]
	positions []position
	change    positionChange
	letter    letterForm

	accepting   *acceptance
	loaded      *S           // what Load returned
	deadLetters []decoded[M] // those that became dead letters
	out         []outbox.Message
	outcome     Outcome
	forgotten   []uuid.UUID // refused by Apply: not recorded under their ids any more
	committed   []func()    // to be called, now that it is durable
}

// letterForm makes the dead letter of a delivery, or none.
type letterForm func(d Delivery, consumer string, reason error) []outbox.Message

func wholeLetter(d Delivery, consumer string, reason error) []outbox.Message {
	return []outbox.Message{DeadLetter(d, consumer, reason)}
}

func (a *attempt[M, S]) run(ctx context.Context) error {
	a.change = a.Positions.change(a.positions, len(a.batch) > 0, time.Now())
	defer a.Positions.ended(a.change)
	if len(a.batch) == 0 && len(a.change.written) == 0 {
		a.Positions.committed(a.change, uuid.Nil, time.Now())
		return nil // there is nothing to write
	}
	conn, err := a.DB.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Release()
	tx, err := a.begin(ctx, conn.Conn())
	if err == nil {
		err = a.apply(ctx, tx)
	}
	if err == nil {
		err = a.commit(ctx, tx)
	}
	if err != nil {
		_ = tx.Rollback(ctx) // the error that counts is the first; what cannot be rolled back ends with its connection
		return err
	}
	a.Positions.committed(a.change, a.witness(), time.Now())
	a.committed = tx.committed
	return nil
}

// begin starts the transaction, records the messages and reads what they need.
func (a *attempt[M, S]) begin(ctx context.Context, conn *pgx.Conn) (*Tx, error) {
	first := &pgx.Batch{}
	first.BeginTx(pgx.TxOptions{})
	entries, usable := make([]Entry, len(a.batch)), make([]Received[M], 0, len(a.batch))
	for i, d := range a.batch {
		entries[i] = a.entry(d)
		if d.reason == nil {
			usable = append(usable, d.Received)
		}
	}
	a.accepting = accept(a.Consumer, entries)
	var witness uuid.UUID
	if len(a.change.witnesses) == 1 && len(entries) > 0 {
		witness = a.change.witnesses[0]
	} else {
		a.change.check(first, a.Consumer)
	}
	a.change.move(first, a.Consumer)
	if len(entries) > 0 {
		a.accepting.queue(first, witness)
	}
	if a.Load != nil && len(usable) > 0 {
		a.loaded = a.Load(first, usable)
	}
	results := conn.SendBatch(ctx, first)
	err := results.Close()
	if err != nil {
		err = fmt.Errorf("begin, record %d messages in the inbox and load: %w", len(entries), err)
	}
	return &Tx{Tx: results.Tx(), Now: a.accepting.now}, err
}

// witness is a message that the inbox has since this batch at the latest, or uuid.Nil.
func (a *attempt[M, S]) witness() uuid.UUID {
	for _, d := range a.batch {
		if !slices.Contains(a.forgotten, d.EventID) {
			return d.EventID
		}
	}
	if len(a.batch) > 0 {
		return a.batch[0].Delivery.PositionID() // refused by Apply, and recorded so
	}
	return uuid.Nil
}

func (a *attempt[M, S]) entry(d decoded[M]) Entry {
	e := Entry{EventID: d.EventID, Delivery: d.Delivery}
	if a.Content != nil && d.reason == nil {
		e.Content = a.Content(d.Delivery)
	}
	return e
}

// apply makes the effects of the new messages, and sets deadLetters those that cannot have any.
func (a *attempt[M, S]) apply(ctx context.Context, tx *Tx) error {
	fresh := a.accepting.fresh()
	a.outcome.Duplicates = len(a.batch) - len(fresh)
	received := make([]Received[M], 0, len(fresh))
	for _, i := range fresh {
		if d := a.batch[i]; d.reason != nil {
			a.setAside(d) // it is recorded under its position already
			a.outcome.DeadLettered++
		} else {
			received = append(received, d.Received)
		}
	}
	conflicts, err := a.conflicts(ctx, tx)
	if err != nil {
		return err
	}
	if len(received) > 0 {
		caused, err := a.Apply(ctx, tx, a.loaded, received)
		if err != nil {
			return err
		}
		a.out = append(a.out, caused...)
	}
	var refused []decoded[M]
	for i, r := range received {
		if reason, ok := tx.refused[i]; ok {
			refused = append(refused, decoded[M]{r, reason})
		}
	}
	a.outcome.Applied = len(received) - len(refused)
	return a.reject(ctx, tx, conflicts, refused)
}

func (a *attempt[M, S]) setAside(d decoded[M]) {
	a.out = append(a.out, a.letter(d.Delivery, a.Consumer, d.reason)...)
	a.deadLetters = append(a.deadLetters, d)
}

// conflicts returns the messages that are not new because another has their id.
func (a *attempt[M, S]) conflicts(ctx context.Context, tx *Tx) ([]decoded[M], error) {
	if a.outcome.Duplicates == 0 {
		return nil, nil
	}
	found, err := a.accepting.conflicts(ctx, tx, a.Consumer)
	if err != nil {
		return nil, err
	}
	var conflicts []decoded[M]
	for i, d := range a.batch {
		if conflict, ok := found[i]; ok {
			d.reason = conflict
			conflicts = append(conflicts, d)
		}
	}
	a.outcome.Duplicates -= len(conflicts)
	return conflicts, nil
}

const forgetSQL = `delete from inbox where consumer = $1 and event_id = any($2::uuid[])`

// Forget queues the removal of messages from the inbox of a consumer that had recorded them as
// handled, and sets them deadLetters after all: sent again after the reason is gone, they take
// effect.
func Forget(batch *pgx.Batch, consumer string, ids ...uuid.UUID) {
	batch.Queue(forgetSQL, consumer, rawIDs(ids))
}

// reject sets messages deadLetters and records them under their positions, so that the same
// delivery is set deadLetters once. A message that Apply has refused is not recorded under its own
// id any more: sent again after the reason is gone, it takes effect.
func (a *attempt[M, S]) reject(ctx context.Context, tx *Tx, conflicts, refused []decoded[M]) error {
	all := append(conflicts, refused...)
	if len(all) == 0 {
		return nil
	}
	entries := make([]Entry, len(all))
	for i, d := range all {
		entries[i] = Entry{EventID: d.Delivery.PositionID(), Delivery: d.Delivery}
	}
	for _, d := range refused {
		a.forgotten = append(a.forgotten, d.EventID)
	}
	recording, batch := accept(a.Consumer, entries), &pgx.Batch{}
	Forget(batch, a.Consumer, a.forgotten...)
	recording.queue(batch, uuid.Nil)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("record %d messages as set deadLetters: %w", len(all), err)
	}
	for i, d := range all {
		switch {
		case !recording.isNew[i]:
			a.outcome.Duplicates++
			continue
		case i < len(conflicts):
			a.outcome.Conflicts++
		default:
			a.outcome.DeadLettered++
		}
		a.setAside(d)
	}
	return nil
}

// commit sends what is left to do and the commit.
func (a *attempt[M, S]) commit(ctx context.Context, tx *Tx) error {
	if err := outbox.Queue(&tx.Last, a.out...); err != nil {
		return err
	}
	a.change.place(&tx.Last, a.Consumer)
	return tx.commit(ctx)
}
