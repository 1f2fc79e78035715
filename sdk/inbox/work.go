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

// work is one attempt at one batch, in one transaction.
type work[M, S any] struct {
	*Processor[M, S]
	batch     []decoded[M]
	positions []position
	change    positionChange
	letter    letterForm

	accepting *acceptance
	loaded    *S           // what Load returned
	aside     []decoded[M] // those that became dead letters
	out       []outbox.Message
	outcome   Outcome
	forgotten []uuid.UUID // refused by Apply: not recorded under their ids any more
	committed []func()    // to be called, now that it is durable
}

// letterForm makes the dead letter of a delivery, or none.
type letterForm func(d Delivery, consumer string, reason error) []outbox.Message

func wholeLetter(d Delivery, consumer string, reason error) []outbox.Message {
	return []outbox.Message{DeadLetter(d, consumer, reason)}
}

func (w *work[M, S]) run(ctx context.Context) error {
	w.change = w.Positions.change(w.positions, time.Now())
	defer w.Positions.ended(w.change)
	if len(w.batch) == 0 && len(w.change.written) == 0 {
		w.Positions.committed(w.change, uuid.Nil, time.Now())
		return nil // there is nothing to write
	}
	conn, err := w.DB.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Release()
	tx, err := w.begin(ctx, conn.Conn())
	if err == nil {
		err = w.apply(ctx, tx)
	}
	if err == nil {
		err = w.commit(ctx, tx)
	}
	if err != nil {
		_ = tx.Rollback(ctx) // the error that counts is the first; what cannot be rolled back ends with its connection
		return err
	}
	w.Positions.committed(w.change, w.witness(), time.Now())
	w.committed = tx.committed
	return nil
}

// begin starts the transaction, records the messages and reads what they need.
func (w *work[M, S]) begin(ctx context.Context, conn *pgx.Conn) (*Tx, error) {
	first := &pgx.Batch{}
	first.BeginTx(pgx.TxOptions{})
	entries, usable := make([]Entry, len(w.batch)), make([]Received[M], 0, len(w.batch))
	for i, d := range w.batch {
		entries[i] = w.entry(d)
		if d.reason == nil {
			usable = append(usable, d.Received)
		}
	}
	w.accepting = accept(w.Consumer, entries)
	var witness uuid.UUID
	if len(w.change.witnesses) == 1 && len(entries) > 0 {
		witness = w.change.witnesses[0]
	} else {
		w.change.check(first, w.Consumer)
	}
	w.change.move(first, w.Consumer)
	if len(entries) > 0 {
		w.accepting.queue(first, witness)
	}
	if w.Load != nil && len(usable) > 0 {
		w.loaded = w.Load(first, usable)
	}
	results := conn.SendBatch(ctx, first)
	err := results.Close()
	if err != nil {
		err = fmt.Errorf("begin, record %d messages in the inbox and load: %w", len(entries), err)
	}
	return &Tx{Tx: results.Tx(), Now: w.accepting.now}, err
}

// witness is a message that the inbox has since this batch at the latest, or uuid.Nil.
func (w *work[M, S]) witness() uuid.UUID {
	for _, d := range w.batch {
		if !slices.Contains(w.forgotten, d.EventID) {
			return d.EventID
		}
	}
	if len(w.batch) > 0 {
		return w.batch[0].Delivery.PositionID() // refused by Apply, and recorded so
	}
	return uuid.Nil
}

func (w *work[M, S]) entry(d decoded[M]) Entry {
	e := Entry{EventID: d.EventID, Delivery: d.Delivery}
	if w.Content != nil && d.reason == nil {
		e.Content = w.Content(d.Delivery)
	}
	return e
}

// apply makes the effects of the new messages, and sets aside those that cannot have any.
func (w *work[M, S]) apply(ctx context.Context, tx *Tx) error {
	fresh := w.accepting.fresh()
	w.outcome.Duplicates = len(w.batch) - len(fresh)
	received := make([]Received[M], 0, len(fresh))
	for _, i := range fresh {
		if d := w.batch[i]; d.reason != nil {
			w.setAside(d) // it is recorded under its position already
			w.outcome.DeadLettered++
		} else {
			received = append(received, d.Received)
		}
	}
	conflicts, err := w.conflicts(ctx, tx)
	if err != nil {
		return err
	}
	if len(received) > 0 {
		caused, err := w.Apply(ctx, tx, w.loaded, received)
		if err != nil {
			return err
		}
		w.out = append(w.out, caused...)
	}
	var refused []decoded[M]
	for i, r := range received {
		if reason, ok := tx.refused[i]; ok {
			refused = append(refused, decoded[M]{r, reason})
		}
	}
	w.outcome.Applied = len(received) - len(refused)
	return w.reject(ctx, tx, conflicts, refused)
}

func (w *work[M, S]) setAside(d decoded[M]) {
	w.out = append(w.out, w.letter(d.Delivery, w.Consumer, d.reason)...)
	w.aside = append(w.aside, d)
}

// conflicts returns the messages that are not new because another has their id.
func (w *work[M, S]) conflicts(ctx context.Context, tx *Tx) ([]decoded[M], error) {
	if w.outcome.Duplicates == 0 {
		return nil, nil
	}
	found, err := w.accepting.conflicts(ctx, tx, w.Consumer)
	if err != nil {
		return nil, err
	}
	var conflicts []decoded[M]
	for i, d := range w.batch {
		if conflict, ok := found[i]; ok {
			d.reason = conflict
			conflicts = append(conflicts, d)
		}
	}
	w.outcome.Duplicates -= len(conflicts)
	return conflicts, nil
}

const forgetSQL = `delete from inbox where consumer = $1 and event_id = any($2::uuid[])`

// Forget queues the removal of messages from the inbox of a consumer that had recorded them as handled,
// and sets them aside after all: sent again after the reason is gone, they take effect.
func Forget(batch *pgx.Batch, consumer string, ids ...uuid.UUID) {
	batch.Queue(forgetSQL, consumer, rawIDs(ids))
}

// reject sets messages aside and records them under their positions, so that the same delivery is
// set aside once. A message that Apply has refused is not recorded under its own id any more: sent
// again after the reason is gone, it takes effect.
func (w *work[M, S]) reject(ctx context.Context, tx *Tx, conflicts, refused []decoded[M]) error {
	all := append(conflicts, refused...)
	if len(all) == 0 {
		return nil
	}
	entries := make([]Entry, len(all))
	for i, d := range all {
		entries[i] = Entry{EventID: d.Delivery.PositionID(), Delivery: d.Delivery}
	}
	for _, d := range refused {
		w.forgotten = append(w.forgotten, d.EventID)
	}
	recording, batch := accept(w.Consumer, entries), &pgx.Batch{}
	Forget(batch, w.Consumer, w.forgotten...)
	recording.queue(batch, uuid.Nil)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("record %d messages as set aside: %w", len(all), err)
	}
	for i, d := range all {
		switch {
		case !recording.isNew[i]:
			w.outcome.Duplicates++
			continue
		case i < len(conflicts):
			w.outcome.Conflicts++
		default:
			w.outcome.DeadLettered++
		}
		w.setAside(d)
	}
	return nil
}

// commit sends what is left to do and the commit.
func (w *work[M, S]) commit(ctx context.Context, tx *Tx) error {
	if err := outbox.Queue(&tx.Last, w.out...); err != nil {
		return err
	}
	w.change.place(&tx.Last, w.Consumer)
	return tx.commit(ctx)
}
