package participant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/cloudevents"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/payload"
)

// SchemaVersion is the version of the migration set "participant" that this package needs.
const SchemaVersion = 1

// Config is what a participant has besides its steps.
type Config struct {
	// Consumer is the consumer group, the name under which messages are recorded as handled.
	Consumer string
	// DB has the service's own tables and those of the migration sets "outbox" and "participant".
	DB *pgxpool.Pool
	// Topic is where answers go.
	Topic string
	// Codec reads commands and writes the bodies of answers. The zero value is CloudEvents with a
	// JSON body, as the package cloudevents describes.
	Codec Codec
	// Payloads, if set, decodes the payloads of commands before Codec reads them, and encodes those
	// of answers. Answers are stored as they are, to be sent again.
	Payloads payload.Codec
	// Observe and Log are those of an [inbox.Processor]; both may be nil.
	Observe func(inbox.Outcome)
	Log     *slog.Logger
}

// Codec is how messages look, for participants in a system that does not use CloudEvents.
type Codec struct {
	// Read returns what a delivery says; the body in Data must be JSON. An error that wraps
	// [inbox.ErrSkip] leaves the message alone, any other makes it a dead letter.
	Read func(inbox.Delivery) (cloudevents.Message, error)
	// Write encodes the body of an answer: what a handler returned, or {"reason": ...}. The same
	// answer is encoded once and sent again as it was stored.
	Write func(Answer) ([]byte, error)
}

// Participant carries out the commands of sagas. It is safe for concurrent use if its handlers are.
type Participant struct {
	// Both share positions and health. They differ in one thing: guarded runs each handler in a
	// savepoint.
	unguarded, guarded inbox.Processor[*command, records]
	// refuses says that the last guarded batch had a refusal: the next one starts guarded.
	refuses atomic.Bool
	codec   Codec
	steps   map[string]registered // by the type of the command
}

// registered is what a type of command is for.
type registered struct {
	step    *Step
	undoing bool
}

func (r registered) handler() Handler {
	if r.undoing {
		return r.step.Undo
	}
	return r.step.Do
}

// New returns a participant that handles the commands of the steps; others it leaves alone. The
// error joins everything that is wrong with the configuration.
func New(c Config, steps ...Step) (*Participant, error) {
	if err := check(c, steps); err != nil {
		return nil, fmt.Errorf("participant %q: %w", c.Consumer, err)
	}
	p := &Participant{codec: c.Codec.withDefaults(), steps: make(map[string]registered, 2*len(steps))}
	for _, s := range steps {
		if s.Topic == "" {
			s.Topic = c.Topic
		}
		p.steps[s.Do.command] = registered{&s, false}
		if s.Undo.bind != nil {
			p.steps[s.Undo.command] = registered{&s, true}
		}
	}
	p.unguarded = inbox.Processor[*command, records]{
		Consumer: c.Consumer, DB: c.DB, Positions: inbox.NewPositions(c.DB, c.Consumer), Health: &inbox.Health{},
		Payloads: c.Payloads, Decode: p.decode, Load: load, Apply: p.applyUnguarded, Observe: c.Observe, Log: c.Log,
	}
	p.guarded = p.unguarded
	p.guarded.Apply = p.applyGuarded
	return p, nil
}

// Commands are the types of the commands that the participant handles, in any order.
func (p *Participant) Commands() []string {
	types := make([]string, 0, len(p.steps))
	for command := range p.steps {
		types = append(types, command)
	}
	return types
}

// Positions is how far the participant has read: what a Kafka client that is assigned a partition
// compares with its committed offset, to read from the earlier of the two.
func (p *Participant) Positions() *inbox.Positions { return p.guarded.Positions }

// Health says whether commands had to be dropped.
func (p *Participant) Health() *inbox.Health { return p.guarded.Health }

// Process carries out a batch of commands in one transaction. When it returns nil the batch is
// durable, and its offsets may be committed; after an error nothing of it has happened, and it may
// be tried again.
func (p *Participant) Process(ctx context.Context, batch []inbox.Delivery) error {
	if p.refuses.Load() {
		return p.guarded.Process(ctx, batch)
	}
	err := p.unguarded.Process(ctx, batch)
	if errors.Is(err, errUnguarded) {
		return p.guarded.Process(ctx, batch)
	}
	return err
}

// Reject sets aside as a dead letter one delivery that Process refuses again and again although
// nothing is wrong with the database.
func (p *Participant) Reject(ctx context.Context, d inbox.Delivery, reason error) error {
	return p.guarded.Reject(ctx, d, reason)
}

// command is one that was received.
type command struct {
	cloudevents.Message
	registered
	key  key
	call call
}

func (p *Participant) decode(d inbox.Delivery) (uuid.UUID, *command, error) {
	m, err := p.codec.Read(d)
	if err != nil {
		return uuid.Nil, nil, err
	}
	r, known := p.steps[m.Type]
	if !known {
		return uuid.Nil, nil, fmt.Errorf("%w: %s is not a command for this participant", inbox.ErrSkip, m.Type)
	}
	if m.Key == "" {
		return uuid.Nil, nil, fmt.Errorf("%s has no key: whose saga it is of is not known", m.Type)
	}
	do, err := r.handler().bind(m.Data)
	if err != nil {
		return uuid.Nil, nil, err
	}
	return m.ID, &command{m, r, key{sagaOf(m), r.step.Do.command}, do}, nil
}

func sagaOf(m cloudevents.Message) string {
	if m.Saga == "" {
		return m.Key
	}
	return m.Saga + "/" + m.Key
}

// run calls the handler.
func (c *command) run(ctx context.Context, tx pgx.Tx, reply []byte) (any, error) {
	body, err := c.call(ctx, handlerTx{tx}, Command[struct{}]{Saga: c.key.saga, Key: c.Key, ID: c.ID, Type: c.Type, Reply: reply})
	if err != nil {
		return nil, fmt.Errorf("%s of saga %s: %w", c.Type, c.key.saga, err)
	}
	return body, nil
}

// runUnguarded calls the handler; what it did before it refuses is for the caller to roll back.
func (c *command) runUnguarded(ctx context.Context, tx pgx.Tx, reply []byte) (any, error) {
	body, err := c.run(ctx, tx, reply)
	if _, refuses := errors.AsType[*Refusal](err); refuses {
		return nil, errUnguarded
	}
	return body, err
}

// runGuarded calls the handler inside a savepoint: a refusal takes back what the handler did.
func (c *command) runGuarded(ctx context.Context, tx pgx.Tx, reply []byte) (any, error) {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin %s of saga %s: %w", c.Type, c.key.saga, err)
	}
	body, err := c.run(ctx, savepoint, reply)
	if err != nil {
		if rollback := savepoint.Rollback(ctx); rollback != nil {
			// Not an answer, also where the handler refused: what it did is still there.
			return nil, fmt.Errorf("roll back after %q: %w", err.Error(), rollback)
		}
		return nil, err
	}
	if err := savepoint.Commit(ctx); err != nil {
		return nil, fmt.Errorf("finish %s of saga %s: %w", c.Type, c.key.saga, err)
	}
	return body, nil
}

// handlerTx is the transaction as handlers get it: they do not end it.
type handlerTx struct{ pgx.Tx }

var errNotYours = errors.New("the participant kit ends the transaction, not the handler")

func (handlerTx) Commit(context.Context) error   { return errNotYours }
func (handlerTx) Rollback(context.Context) error { return errNotYours }

// message is an answer as the outbox takes it.
func (c *command) message(a answer, again bool) outbox.Message {
	return outbox.Message{
		EventID: cloudevents.EventID(c.key.saga, c.key.step, a.kind),
		Topic:   c.step.Topic, Key: c.Key, Type: a.kind, Payload: a.body,
		Headers: cloudevents.ReplyHeaders(c.ID, again, c.TraceParent),
	}
}
