package inbox

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/internal/setup"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/payload"
)

// ErrSkip is returned (or wrapped) by a Processor's Decode for a message that is not addressed to
// this consumer: it is counted and left alone. It is not recorded, so that a later version of the
// consumer that does know it can be given it again.
var ErrSkip = errors.New("skip this message")

// Received is a decoded message and the delivery that brought it, its payload as
// [Processor].Payloads has decoded it.
type Received[M any] struct {
	Message  M
	EventID  uuid.UUID
	Delivery Delivery
}

// Tx is the transaction that applies a batch. The [Processor] ends it.
type Tx struct {
	pgx.Tx
	// Last takes statements that are sent along with the caused messages and the commit, in one
	// round trip. The first that fails takes the whole batch back; what else they return is seen by
	// their callbacks only after the commit, so a statement that relies on a precondition
	// has to verify it, and fail.
	Last pgx.Batch
	// Now is when the transaction began, by the database's clock: what now() is in its statements.
	Now time.Time

	refused   map[int]error
	committed []func()
}

// Reject makes the message with the given index in Apply's batch a dead letter: it can never take
// effect, and the others do. Apply must leave no effect of it. A message that is set aside so
// is not recorded as handled, so it takes effect when it is sent again after the reason is gone.
func (t *Tx) Reject(index int, reason error) {
	if t.refused == nil {
		t.refused = make(map[int]error)
	}
	t.refused[index] = reason
}

// AfterCommit has f called once the batch is durable, and not where it is rolled back: for metrics
// and log lines, which must not speak of what did not happen. A process that dies in between skips
// it.
func (t *Tx) AfterCommit(f func()) { t.committed = append(t.committed, f) }

// Processor applies batches of messages of type M, each batch in one transaction: it records the
// messages in the inbox, applies the new ones, and appends what they cause to the outbox. S is what
// Load reads for a batch and Apply decides on; struct{} where there is no Load. It is safe for
// concurrent use if its functions are.
//
// A message that cannot be decoded, that Apply refuses ([Tx.Reject]), or that comes under the event
// id of another ([ConflictError]) becomes a [DeadLetter] in the same transaction, once. The other
// messages of its batch take effect.
//
// The batch's place in Kafka is stored in the same transaction, too: see [Positions].
//
// A batch takes two round trips to the database, and those that Apply makes: one for the inbox and
// what Load asks for, and one for [Tx.Last], the outbox and the commit. A consumer that reads in
// Load and writes in Tx.Last needs no others. A batch with messages that were handled before takes
// one more, and one with messages that Apply refuses.
type Processor[M, S any] struct {
	// Consumer is the name under which messages are recorded: the consumer group.
	Consumer string
	DB       *pgxpool.Pool
	// Positions, if set, is shared with the code that assigns partitions. Positions are stored
	// without it, too, but then a database that goes back while the consumer runs is not noticed.
	Positions *Positions
	// Keep, if set, reports whether a message is this consumer's at all: one that is not is skipped
	// before its payload is decoded. It is for consumers that share topics and have a database
	// each.
	Keep func(Delivery) bool
	// Payloads, if set, decodes payloads before Decode and all other functions get them, and
	// encodes those of the messages that Apply returns. Dead letters keep what was received. A
	// message that it cannot decode is a dead letter; where it says [payload.ErrUnavailable], the
	// batch is not processed.
	Payloads payload.Codec
	// Decode parses a delivery and returns the id that identifies the message, wherever and
	// however often it stands; the zero UUID is an id like others, so two messages that have it are
	// one. An error that wraps ErrSkip leaves the message alone, any other sends it to the dead
	// letter topic.
	Decode func(Delivery) (uuid.UUID, M, error)
	// Content, if set, returns what of a message's value must be the same whenever it comes under
	// one id. Not set stands for all of it.
	Content func(Delivery) []byte
	// Load, if set, queues what has to be read (and locked) for these messages, some of which may
	// turn out to have been handled before, and returns what the callbacks of the queued statements
	// fill in. It is complete when Apply gets it.
	Load func(reads *pgx.Batch, batch []Received[M]) *S
	// Apply makes the effects of new messages, in their order, inside tx, and returns the messages
	// that they cause. loaded is what Load returned for this attempt, nil without Load. Apply is
	// not called where no message is new. An error rolls the whole batch back.
	Apply func(ctx context.Context, tx *Tx, loaded *S, batch []Received[M]) ([]outbox.Message, error)
	// Observe, if set, is called after each commit with what became of the batch's messages: for
	// metrics, of which this package knows no kind.
	Observe func(Outcome)
	// Parking, if set, keeps the order of keys around dead letters. Without it later messages of a
	// dead letter's key are applied.
	Parking *Parking
	// Health, if set, is notified of messages that were dropped.
	Health *Health
	// Log, if set, names each message that Process has set aside, after the commit, and each
	// that Reject could not.
	Log *slog.Logger
}

// Outcome counts what became of the messages of one batch.
type Outcome struct {
	Applied      int // new, and applied
	Duplicates   int // handled before
	Skipped      int // not addressed to this consumer
	DeadLettered int // unusable, set aside
	Conflicts    int // another message has their event id; set aside
	Parked       int // a dead letter of their key is in front of them; set aside
	Redriven     int // set aside before, and applied now
	Dropped      int // could not even be set aside, and are in Kafka only
}

// Outcomes returns the counts by name, as the label of a metric has them, those that are 0
// included.
func (o Outcome) Outcomes() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		_ = yield("applied", o.Applied) && yield("duplicate", o.Duplicates) && yield("skipped", o.Skipped) &&
			yield("dead_letter", o.DeadLettered) && yield("conflict", o.Conflicts) && yield("parked", o.Parked) &&
			yield("redriven", o.Redriven) && yield("dropped", o.Dropped)
	}
}

// Process applies one batch. When it returns nil the batch is durable, and its offsets may be
// committed; after an error its offsets may not: nothing of it has happened, or the beginning of
// it, or all of it (the connection broke during the commit). In each case it may be tried again.
// Without Consumer, DB, Decode or Apply it does nothing and returns an error.
func (p *Processor[M, S]) Process(ctx context.Context, batch []Delivery) error {
	if len(batch) == 0 {
		return nil
	}
	if err := p.complete(); err != nil {
		return err
	}
	err := p.process(ctx, batch)
	followed, ok := errors.AsType[*followedError](err)
	if !ok {
		return err
	}
	first, rest := split(batch, followed.follower)
	if err := p.Process(ctx, first); err != nil {
		return err
	}
	return p.Process(ctx, rest)
}

// complete returns an error that names a field which must be set and is not.
func (p *Processor[M, S]) complete() error {
	switch {
	case p.Consumer == "":
		return errors.New("inbox.Processor without Consumer: name the consumer group")
	case p.DB == nil:
		return fmt.Errorf("inbox.Processor %s without DB", p.Consumer)
	case p.Decode == nil:
		return fmt.Errorf("inbox.Processor %s without Decode", p.Consumer)
	case p.Apply == nil:
		return fmt.Errorf("inbox.Processor %s without Apply", p.Consumer)
	}
	return nil
}

// maxCareful bounds how often a batch begins again because another process has set a message aside
// meanwhile.
const maxCareful = 5

func (p *Processor[M, S]) process(ctx context.Context, batch []Delivery) error {
	a, err := run(ctx, func() (*attempt[M, S], error) {
		messages, err := p.decode(ctx, batch)
		a := &attempt[M, S]{
			Processor: p, batch: messages, positions: positionsAfter(batch, time.Now()), letter: wholeLetter,
			careful: p.Parking != nil && p.Parking.careful.Load(),
		}
		a.outcome.Skipped = len(batch) - len(a.batch)
		return a, err
	})
	if err != nil {
		return fmt.Errorf("process %d messages as %s: %w", len(batch), p.Consumer, setup.Explain(err))
	}
	a.report(ctx)
	return nil
}

// run makes attempts until one does not have to lock queues that it has not locked, and returns the
// last.
func run[M, S any](ctx context.Context, attempted func() (*attempt[M, S], error)) (a *attempt[M, S], err error) {
	for n := 1; n <= maxCareful; n++ {
		if a, err = attempted(); err != nil {
			return nil, err
		}
		a.careful = a.careful || n > 1
		if err = a.run(ctx); !errors.Is(err, errKeysWait) {
			break
		}
	}
	return a, err
}

// report says what became of the batch, now that it is durable.
func (a *attempt[M, S]) report(ctx context.Context) {
	if a.Parking != nil && a.accepting != nil && len(a.accepting.fresh()) > 0 {
		a.Parking.careful.Store(a.accepting.parked || len(a.additions) > 0)
	}
	if a.Log != nil {
		for _, d := range a.deadLetters {
			a.Log.LogAttrs(ctx, slog.LevelError, "message set aside as a dead letter", logged(d.Delivery, d.EventID, d.reason)...)
		}
	}
	a.observe(a.outcome)
	for _, f := range a.committed {
		f()
	}
}

func (p *Processor[M, S]) observe(o Outcome) {
	if p.Observe != nil {
		p.Observe(o)
	}
}

// logged is what the log says of one message.
func logged(d Delivery, id uuid.UUID, reason error) []slog.Attr {
	return append(d.LogAttrs(), slog.Any("event_id", id), slog.Any("error", reason))
}

// decoded is a message, or why it is none.
type decoded[M any] struct {
	Received[M]
	reason error
	raw    *Delivery // as it came, where its payload was encoded
}

// came is the delivery as it came.
func (d *decoded[M]) came() Delivery {
	if d.raw != nil {
		return *d.raw
	}
	return d.Delivery
}

// decode leaves out what is to be skipped. An error says nothing about the messages.
func (p *Processor[M, S]) decode(ctx context.Context, batch []Delivery) ([]decoded[M], error) {
	all := make([]decoded[M], 0, len(batch))
	for i, d := range batch {
		if p.Keep != nil && !p.Keep(d) {
			continue
		}
		var raw *Delivery
		var err error
		if p.Payloads != nil {
			raw = &batch[i]
			if d, err = DecodePayload(ctx, p.Payloads, d); errors.Is(err, payload.ErrUnavailable) {
				return nil, err
			}
		}
		var id uuid.UUID
		var message M
		if err == nil {
			id, message, err = p.Decode(d)
		}
		if errors.Is(err, ErrSkip) {
			continue
		}
		if err != nil {
			// Whatever id it claims: recorded under it, it would keep the message that
			// the id belongs to from being handled.
			id = batch[i].PositionID()
		}
		all = append(all, decoded[M]{Received[M]{message, id, d}, err, raw})
	}
	return all, nil
}

// encode has messages that Apply returned encoded for the outbox.
func (p *Processor[M, S]) encode(ctx context.Context, caused []outbox.Message) ([]outbox.Message, error) {
	return outbox.Writer{Payloads: p.Payloads}.Encode(ctx, caused...)
}

var errRolledBack = errors.New("the database rolled back")

// commit sends what is left to do and the commit. A statement that fails keeps those behind it from
// being carried out, the commit among them.
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
