package inbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill/outbox"
)

// ErrSkip is returned (or wrapped) by a Processor's Decode for a message that is none of this
// consumer's business: it is counted and left alone. It is not recorded, so that a later version of
// the consumer that does know it can be given it again.
var ErrSkip = errors.New("skip this message")

// Begin starts transactions; *pgxpool.Pool and *pgx.Conn do.
type Begin interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Received is a decoded message and the delivery that brought it.
type Received[M any] struct {
	Message  M
	EventID  uuid.UUID
	Delivery Delivery
}

// Processor applies batches of messages of type M, each batch in one transaction: it records the
// messages in the inbox, applies the new ones, and appends what they cause to the outbox. It is
// safe for concurrent use if its functions are.
type Processor[M any] struct {
	// Consumer is the name under which messages are recorded: the consumer group.
	Consumer string
	DB       Begin
	// Decode parses a delivery and returns the id that identifies the message, wherever and
	// however often it stands. An error that wraps ErrSkip leaves the message alone, any other
	// sends it to the dead letter topic.
	Decode func(Delivery) (uuid.UUID, M, error)
	// Apply makes the effects of new messages, in their order, inside tx, and returns the
	// messages that they cause. It is not called where there is none. An error rolls the whole
	// batch back.
	Apply func(ctx context.Context, tx pgx.Tx, batch []Received[M]) ([]outbox.Message, error)
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
// committed; after an error nothing of it has happened, and it may be tried again.
func (p *Processor[M]) Process(ctx context.Context, batch []Delivery) error {
	var outcome Outcome
	err := pgx.BeginFunc(ctx, p.DB, func(tx pgx.Tx) error {
		outcome = Outcome{}
		return p.process(ctx, tx, batch, &outcome)
	})
	if err != nil {
		return fmt.Errorf("process %d messages as %s: %w", len(batch), p.Consumer, err)
	}
	p.observe(outcome)
	return nil
}

// Reject sets one message aside for the given reason, in a transaction of its own. It is for a
// message that Apply refuses again and again although nothing is wrong with the database.
func (p *Processor[M]) Reject(ctx context.Context, d Delivery, reason error) error {
	var outcome Outcome
	err := pgx.BeginFunc(ctx, p.DB, func(tx pgx.Tx) error {
		outcome = Outcome{}
		fresh, err := Accept(ctx, tx, p.Consumer, []Entry{{d.PlaceID(), d}})
		if err != nil || len(fresh) == 0 {
			outcome.Duplicates = 1
			return err
		}
		outcome.DeadLettered = 1
		return outbox.Append(ctx, tx, DeadLetter(d, p.Consumer, reason))
	})
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

func (p *Processor[M]) process(ctx context.Context, tx pgx.Tx, batch []Delivery, outcome *Outcome) error {
	entries := make([]Entry, 0, len(batch))
	messages, faults := make([]M, 0, len(batch)), make([]error, 0, len(batch))
	for _, d := range batch {
		id, message, err := p.Decode(d)
		switch {
		case errors.Is(err, ErrSkip):
			outcome.Skipped++
			continue
		case err != nil:
			// Whatever id it claims: recorded under it, it would keep the message that
			// the id belongs to from being handled.
			id = d.PlaceID()
		}
		entries = append(entries, Entry{id, d})
		messages, faults = append(messages, message), append(faults, err)
	}
	fresh, err := Accept(ctx, tx, p.Consumer, entries)
	if err != nil {
		return err
	}
	outcome.Duplicates = len(entries) - len(fresh)

	var out []outbox.Message
	received := make([]Received[M], 0, len(fresh))
	for _, i := range fresh {
		if faults[i] != nil {
			out = append(out, DeadLetter(entries[i].Delivery, p.Consumer, faults[i]))
			continue
		}
		received = append(received, Received[M]{messages[i], entries[i].EventID, entries[i].Delivery})
	}
	outcome.Applied, outcome.DeadLettered = len(received), len(out)
	if len(received) > 0 {
		caused, err := p.Apply(ctx, tx, received)
		if err != nil {
			return err
		}
		out = append(out, caused...)
	}
	return outbox.Append(ctx, tx, out...)
}
