package inbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/outbox"
)

// attempt is one attempt at one batch, in one transaction.
type attempt[M, S any] struct {
	*Processor[M, S]
	batch     []decoded[M]
	positions []position
	change    positionChange
	letter    letterForm
	careful   bool               // the queues of the batch's keys are locked first
	redriven  *deadletter.Letter // the batch is this message

	locked      map[uuid.UUID]bool // queues that have messages, and are locked
	accepting   *acceptance
	loaded      *S           // what Load returned
	indexes     []int        // in the batch, of what Apply gets
	deadLetters []decoded[M] // those that became dead letters
	additions   []deadletter.Addition
	out         []outbox.Message
	outcome     Outcome
	forgotten   []uuid.UUID // refused by Apply: not recorded under their ids any more
	committed   []func()    // to be called, now that it is durable
}

// letterForm is how much of a message goes into its dead letter: into the row, and into the copy
// for the topic.
type letterForm struct {
	row  func(deadletter.Message) deadletter.Message // nil: there is no row
	copy func(d Delivery, consumer string, reason error) outbox.Message
}

var wholeLetter = letterForm{row: func(m deadletter.Message) deadletter.Message { return m }, copy: DeadLetter}

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
	entries := a.read(first)
	results := conn.SendBatch(ctx, first)
	err := results.Close()
	if err != nil {
		err = fmt.Errorf("begin, record %d messages in the inbox and load: %w", entries, err)
	}
	return &Tx{Tx: results.Tx(), Now: a.accepting.now}, err
}

// read queues the first statements, and returns how many messages they record.
func (a *attempt[M, S]) read(first *pgx.Batch) int {
	a.locked = make(map[uuid.UUID]bool)
	if a.careful {
		deadletter.Lock(first, a.Consumer, a.queues(), a.locked)
	}
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
	return len(entries)
}

// witness is a message that the inbox has since this batch at the latest, or uuid.Nil.
func (a *attempt[M, S]) witness() uuid.UUID {
	for _, d := range a.batch {
		if !slices.Contains(a.forgotten, d.EventID) {
			return d.EventID
		}
	}
	if len(a.batch) > 0 {
		return a.batch[0].came().PositionID() // refused by Apply, and recorded so
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

// apply makes the effects of the new messages, and sets aside those that cannot have any, and those
// that wait for them.
func (a *attempt[M, S]) apply(ctx context.Context, tx *Tx) error {
	if a.accepting.parked && !a.careful && len(a.accepting.fresh()) > 0 {
		return errKeysWait
	}
	conflicts, err := a.conflicts(ctx, tx)
	if err != nil {
		return err
	}
	received, asides := a.sort(conflicts)
	if len(received) > 0 {
		caused, err := a.Apply(ctx, tx, a.loaded, received)
		if err != nil {
			return err
		}
		if caused, err = a.encode(ctx, caused); err != nil {
			return err
		}
		a.out = append(a.out, caused...)
	}
	if err := a.followed(received, tx.refused); err != nil {
		return err
	}
	for i, reason := range tx.refused {
		refused := a.batch[a.indexes[i]]
		refused.reason = reason
		asides = append(asides, aside[M]{decoded: refused, index: a.indexes[i]})
	}
	a.outcome.Applied = len(received) - len(tx.refused)
	return a.setAside(ctx, tx, asides)
}

// conflicts returns the messages that are not new because another has their id.
func (a *attempt[M, S]) conflicts(ctx context.Context, tx *Tx) (map[int]*ConflictError, error) {
	a.outcome.Duplicates = len(a.batch) - len(a.accepting.fresh())
	if a.outcome.Duplicates == 0 {
		return nil, nil
	}
	batch, wait := &pgx.Batch{}, false
	before := a.accepting.handledBefore(batch, a.Consumer)
	if a.redriven == nil {
		a.unlocked(batch, &wait)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("read the inbox: %w", err)
	}
	if wait {
		return nil, errKeysWait
	}
	found := a.accepting.conflicts(before)
	a.outcome.Duplicates -= len(found)
	return found, nil
}

const forgetSQL = `delete from inbox where consumer = $1 and event_id = any($2::uuid[])`

// Forget queues the removal of messages from the inbox of a consumer that had recorded them as
// handled, as after they were set aside after all: sent again after the reason is gone, they take
// effect.
func Forget(batch *pgx.Batch, consumer string, ids ...uuid.UUID) {
	batch.Queue(forgetSQL, consumer, rawIDs(ids))
}

// QueueDeadLetter queues what makes a dead letter of a message that a consumer had recorded as
// handled, under the given id, because it kept the message somewhere else, and that cannot be
// applied after all. No other message waits for it. The copy for the topic is [DeadLetter].
func QueueDeadLetter(batch *pgx.Batch, consumer string, d Delivery, id uuid.UUID, reason error) error {
	Forget(batch, consumer, id)
	accept(consumer, []Entry{{EventID: d.PositionID(), Delivery: d}}).queue(batch, uuid.Nil)
	letter := toMessage(d, &id)
	return deadletter.Add(batch, consumer, deadletter.Addition{Message: letter, Reason: reason})
}

// setAside sets messages aside and records them under their positions, so that the same delivery is
// set aside once. None of them is recorded under its own id any more: it has not been handled.
func (a *attempt[M, S]) setAside(ctx context.Context, tx *Tx, asides []aside[M]) error {
	slices.SortFunc(asides, func(x, y aside[M]) int { return x.index - y.index })
	known, err := a.record(ctx, tx, asides)
	if err != nil {
		return err
	}
	for _, d := range asides {
		switch {
		case known[d.index]:
			a.outcome.Duplicates++
			continue
		case d.conflict:
			a.outcome.Conflicts++
		case d.reason != nil:
			a.outcome.DeadLettered++
		default:
			a.outcome.Parked++
		}
		if err := a.add(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// record records messages under their positions only, and returns the indexes of those that were
// set aside before.
func (a *attempt[M, S]) record(ctx context.Context, tx *Tx, asides []aside[M]) (known map[int]bool, err error) {
	var entries []Entry
	var indexes []int
	for _, d := range asides {
		if d.recorded {
			continue
		}
		came := d.came()
		entries, indexes = append(entries, Entry{EventID: came.PositionID(), Delivery: came}), append(indexes, d.index)
		if !d.conflict {
			a.forgotten = append(a.forgotten, d.EventID)
		}
	}
	if len(entries) == 0 {
		return nil, nil
	}
	recording, batch := accept(a.Consumer, entries), &pgx.Batch{}
	Forget(batch, a.Consumer, a.forgotten...)
	recording.queue(batch, uuid.Nil)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("record %d messages as set aside: %w", len(entries), err)
	}
	known = make(map[int]bool)
	for i, isNew := range recording.isNew {
		known[indexes[i]] = !isNew
	}
	return known, nil
}

// add has a message written as dead or parked.
func (a *attempt[M, S]) add(ctx context.Context, d aside[M]) error {
	if d.reason != nil {
		if a.letter.copy != nil {
			a.out = append(a.out, a.letter.copy(d.came(), a.Consumer, d.reason))
		}
		a.deadLetters = append(a.deadLetters, d.decoded)
	}
	if a.letter.row == nil {
		return nil
	}
	id, err := a.identity(ctx, d)
	if err != nil {
		return err
	}
	addition := deadletter.Addition{Message: a.letter.row(toMessage(d.came(), id)), Reason: d.reason}
	if d.reason != nil {
		addition.KeyID = a.Parking.queueOf(d.Delivery)
	} else {
		addition.KeyID = deadletter.KeyID(d.Delivery.Topic, d.Delivery.Key)
	}
	a.additions = append(a.additions, addition)
	return nil
}

// identity is the id of a message that could be read; nil of any other.
func (a *attempt[M, S]) identity(ctx context.Context, d aside[M]) (*uuid.UUID, error) {
	if d.EventID != d.came().PositionID() {
		return &d.EventID, nil
	}
	// It could not be read, or the caller of Reject set it aside.
	read, err := a.decode(ctx, []Delivery{d.came()})
	if err != nil || len(read) == 0 || read[0].reason != nil {
		return nil, err
	}
	return &read[0].EventID, nil
}

// commit sends what is left to do and the commit.
func (a *attempt[M, S]) commit(ctx context.Context, tx *Tx) error {
	if err := outbox.Queue(&tx.Last, a.out...); err != nil {
		return err
	}
	if err := deadletter.Add(&tx.Last, a.Consumer, a.additions...); err != nil {
		return err
	}
	a.change.place(&tx.Last, a.Consumer)
	return tx.commit(ctx)
}
