package inbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill/outbox"
)

// ErrSkip is returned (or wrapped) by a Processor's Decode for a message that is none of this
// consumer's business: it is counted and left alone. It is not recorded, so that a later version of
// the consumer that does know it can be given it again.
var ErrSkip = errors.New("skip this message")

// Received is a decoded message and the delivery that brought it.
type Received[M any] struct {
	Message  M
	EventID  uuid.UUID
	Delivery Delivery
}

// Tx is the transaction that applies a batch. The [Processor] ends it.
type Tx struct {
	pgx.Tx
	// Last takes statements that are sent along with the caused messages and the commit, in one round
	// trip. The first that fails takes the whole batch back; what else they return is seen by their
	// callbacks only after the commit, so a statement that must find the world as expected has to fail
	// by itself where it does not.
	Last pgx.Batch
}

// Processor applies batches of messages of type M, each batch in one transaction: it records the
// messages in the inbox, applies the new ones, and appends what they cause to the outbox. It is
// safe for concurrent use if its functions are.
//
// A batch takes two round trips to the database, and those that Apply makes: one for the inbox and
// what Load asks for, and one for [Tx.Last], the outbox and the commit. A consumer that reads in Load
// and writes in Tx.Last needs no others.
type Processor[M any] struct {
	// Consumer is the name under which messages are recorded: the consumer group.
	Consumer string
	DB       *pgxpool.Pool
	// Decode parses a delivery and returns the id that identifies the message, wherever and
	// however often it stands. An error that wraps ErrSkip leaves the message alone, any other
	// sends it to the dead letter topic.
	Decode func(Delivery) (uuid.UUID, M, error)
	// Load, if set, queues what has to be read (and locked) for these messages, some of which may turn out
	// to have been handled before. The results, which callbacks of the queued statements receive, are
	// complete when Apply is called.
	Load func(reads *pgx.Batch, batch []Received[M])
	// Apply makes the effects of new messages, in their order, inside tx, and returns the
	// messages that they cause. It is not called where there is none. An error rolls the whole
	// batch back.
	Apply func(ctx context.Context, tx *Tx, batch []Received[M]) ([]outbox.Message, error)
	// Observe, if set, is told after each commit what became of the batch.
	Observe func(Outcome)
}

// Outcome counts what became of the messages of one batch.
type Outcome struct {
	Applied      int // new, and applied
	Duplicates   int // handled before
	Skipped      int // none of this consumer's business
	DeadLettered int // unusable, set aside
}

// Process applies one batch. When it returns nil the batch is durable, and its offsets may be
// committed; after an error nothing of it has happened, unless the connection broke during the commit:
// in either case it may be tried again.
func (p *Processor[M]) Process(ctx context.Context, batch []Delivery) error {
	outcome, err := p.process(ctx, p.decode(batch))
	if err != nil {
		return fmt.Errorf("process %d messages as %s: %w", len(batch), p.Consumer, err)
	}
	outcome.Skipped = len(batch) - outcome.Applied - outcome.Duplicates - outcome.DeadLettered
	p.observe(outcome)
	return nil
}

// Reject sets one message aside for the given reason, in a transaction of its own. It is for a
// message that Apply refuses again and again although nothing is wrong with the database.
func (p *Processor[M]) Reject(ctx context.Context, d Delivery, reason error) error {
	rejected := decoded[M]{Received: Received[M]{EventID: d.PlaceID(), Delivery: d}, fault: reason}
	outcome, err := p.process(ctx, []decoded[M]{rejected})
	if err != nil {
		return fmt.Errorf("set %s/%d/%d aside as %s: %w", d.Topic, d.Partition, d.Offset, p.Consumer, err)
	}
	p.observe(outcome)
	return nil
}

func (p *Processor[M]) observe(o Outcome) {
	if p.Observe != nil {
		p.Observe(o)
	}
}

// decoded is a message, or why it is none.
type decoded[M any] struct {
	Received[M]
	fault error
}

// decode leaves out what is to be skipped.
func (p *Processor[M]) decode(batch []Delivery) []decoded[M] {
	all := make([]decoded[M], 0, len(batch))
	for _, d := range batch {
		id, message, err := p.Decode(d)
		if errors.Is(err, ErrSkip) {
			continue
		}
		if err != nil {
			// Whatever id it claims: recorded under it, it would keep the message that
			// the id belongs to from being handled.
			id = d.PlaceID()
		}
		all = append(all, decoded[M]{Received[M]{message, id, d}, err})
	}
	return all
}

func (p *Processor[M]) process(ctx context.Context, batch []decoded[M]) (outcome Outcome, err error) {
	if len(batch) == 0 {
		return outcome, nil
	}
	conn, err := p.DB.Acquire(ctx)
	if err != nil {
		return outcome, fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Release()
	tx, fresh, err := p.begin(ctx, conn.Conn(), batch)
	if err == nil {
		outcome, err = p.apply(ctx, tx, batch, fresh)
	}
	if err == nil {
		err = tx.commit(ctx)
	}
	if err != nil {
		_ = tx.Rollback(ctx) // the error that counts is the first; what cannot be rolled back ends with its connection
	}
	return outcome, err
}

// begin starts the transaction, records the messages and reads what they need, and returns the indexes of the new
// ones.
func (p *Processor[M]) begin(ctx context.Context, conn *pgx.Conn, batch []decoded[M]) (*Tx, []int, error) {
	first := &pgx.Batch{}
	first.BeginTx(pgx.TxOptions{})
	entries, usable := make([]Entry, len(batch)), make([]Received[M], 0, len(batch))
	for i, d := range batch {
		entries[i] = Entry{d.EventID, d.Delivery}
		if d.fault == nil {
			usable = append(usable, d.Received)
		}
	}
	accepting := accept(p.Consumer, entries)
	accepting.queue(first)
	if p.Load != nil && len(usable) > 0 {
		p.Load(first, usable)
	}
	results := conn.SendBatch(ctx, first)
	err := results.Close()
	if err != nil {
		err = fmt.Errorf("begin, record %d messages in the inbox and load: %w", len(entries), err)
	}
	return &Tx{Tx: results.Tx()}, accepting.fresh(), err
}

// apply makes the effects of the new messages.
func (p *Processor[M]) apply(ctx context.Context, tx *Tx, batch []decoded[M], fresh []int) (Outcome, error) {
	var out []outbox.Message
	received := make([]Received[M], 0, len(fresh))
	for _, i := range fresh {
		if fault := batch[i].fault; fault != nil {
			out = append(out, DeadLetter(batch[i].Delivery, p.Consumer, fault))
			continue
		}
		received = append(received, batch[i].Received)
	}
	outcome := Outcome{Applied: len(received), Duplicates: len(batch) - len(fresh), DeadLettered: len(out)}
	if len(received) > 0 {
		caused, err := p.Apply(ctx, tx, received)
		if err != nil {
			return outcome, err
		}
		out = append(out, caused...)
	}
	return outcome, outbox.Queue(&tx.Last, out...)
}

var errRolledBack = errors.New("the database rolled back")

// commit sends what is left to do and the commit. A statement that fails keeps those behind it from being carried out,
// the commit among them.
func (t *Tx) commit(ctx context.Context) error {
	t.Last.Queue("commit").Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return errRolledBack
		}
		return nil
	})
	if err := t.SendBatch(ctx, &t.Last).Close(); err != nil {
		return fmt.Errorf("write and commit: %w", err)
	}
	return nil
}
