package participant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/cloudevents"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// Answer is the body of an answer before it is encoded.
type Answer struct {
	// Command is what is answered for the first time.
	Command cloudevents.Message
	// Type is the answer's type.
	Type string
	// Body is what the handler returned, [Refused] for a refusal, and struct{}{} for an undo.
	Body any
}

// Refused is the body of a refusal.
type Refused struct {
	Reason string `json:"reason"`
}

// reasonUndone refuses a command that comes after its undo.
const reasonUndone = "undone"

func (c Codec) withDefaults() Codec {
	if c.Read == nil {
		c.Read = cloudevents.Read
	}
	if c.Write == nil {
		c.Write = func(a Answer) ([]byte, error) { return json.Marshal(a.Body) }
	}
	return c
}

// errUnguarded says that a handler has refused and was not in a savepoint: what it did before is
// still there, so the batch is rolled back and begins again.
var errUnguarded = errors.New("a handler refused outside of a savepoint")

// errNoRefusal is wrapped for a command that was refused and has no answer that says so.
var errNoRefusal = errors.New("the saga has no answer that says so")

// applyUnguarded is for batches in which nothing is refused, which are most.
func (p *Participant) applyUnguarded(ctx context.Context, tx *inbox.Tx, known *records, batch []inbox.Received[*command]) ([]outbox.Message, error) {
	a := application{Participant: p, tx: tx, known: known, run: (*command).runUnguarded}
	return a.apply(ctx, batch)
}

func (p *Participant) applyGuarded(ctx context.Context, tx *inbox.Tx, known *records, batch []inbox.Received[*command]) ([]outbox.Message, error) {
	a := application{Participant: p, tx: tx, known: known, run: (*command).runGuarded}
	out, err := a.apply(ctx, batch)
	tx.AfterCommit(func() { p.refuses.Store(a.refusals > 0) })
	return out, err
}

// application is one attempt at a batch.
type application struct {
	*Participant
	tx       *inbox.Tx
	known    *records
	run      func(c *command, ctx context.Context, tx pgx.Tx, reply []byte) (any, error)
	refusals int // by handlers
}

// apply carries out the new commands of a batch, one after the other.
func (a *application) apply(ctx context.Context, batch []inbox.Received[*command]) ([]outbox.Message, error) {
	out := make([]outbox.Message, 0, len(batch))
	for i, r := range batch {
		message, err := a.one(ctx, r.Message)
		if errors.Is(err, errNoRefusal) {
			a.tx.Reject(i, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, message)
	}
	a.known.save(&a.tx.Last)
	return out, nil
}

// one carries out a command and returns its answer.
func (a *application) one(ctx context.Context, c *command) (outbox.Message, error) {
	was := a.known.get(c.key)
	did := was.next(c.undoing)
	if did == repeat {
		return c.message(was.answer(c.undoing), true), nil
	}
	body, kind, isRefusal, err := a.perform(ctx, c, did, was)
	if err != nil {
		return outbox.Message{}, err
	}
	encoded, err := a.codec.Write(Answer{c.Message, kind, body})
	if err != nil {
		return outbox.Message{}, fmt.Errorf("encode %s of saga %s: %w", kind, c.key.saga, err)
	}
	says := answer{kind, append([]byte{}, encoded...)} // not nil, which is null in SQL
	a.known.set(c.key, was.decided(did, says, isRefusal))
	return c.message(says, false), nil
}

// perform does what has to be done for a command that has no answer yet, and returns the answer.
func (a *application) perform(ctx context.Context, c *command, what action, was record) (body any, kind string, isRefusal bool, err error) {
	switch what {
	case refuseLate:
		return Refused{reasonUndone}, c.step.Refused, true, nil
	case recordUndo:
		return struct{}{}, c.step.Undone, false, nil
	case takeBack:
		kind = c.step.Undone
		body, err = a.run(c, ctx, a.tx.Tx, was.reply.body)
	case carryOut, repeat:
		kind = c.step.Done
		body, err = a.run(c, ctx, a.tx.Tx, nil)
	}
	refusal, isRefusal := errors.AsType[*Refusal](err)
	if isRefusal {
		a.refusals++
	}
	switch {
	case isRefusal && (c.undoing || c.step.Refused == ""):
		return nil, "", false, fmt.Errorf("%w, and %w", err, errNoRefusal)
	case isRefusal:
		return Refused{refusal.Reason}, c.step.Refused, true, nil
	}
	return body, kind, false, err
}
