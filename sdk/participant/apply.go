package participant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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

// apply carries out the new commands of a batch, one after the other.
func (p *Participant) apply(ctx context.Context, tx *inbox.Tx, known *records, batch []inbox.Received[*command]) ([]outbox.Message, error) {
	out := make([]outbox.Message, 0, len(batch))
	for i, r := range batch {
		c := r.Message
		was := known.get(c.key)
		did := was.next(c.undoing)
		if did == repeat {
			out = append(out, c.message(was.answer(c.undoing), true))
			continue
		}
		body, kind, isRefusal, err := c.perform(ctx, tx, did, was)
		if errors.Is(err, errNoRefusal) {
			tx.Reject(i, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		encoded, err := p.codec.Write(Answer{c.Message, kind, body})
		if err != nil {
			return nil, fmt.Errorf("encode %s of saga %s: %w", kind, c.key.saga, err)
		}
		a := answer{kind, append([]byte{}, encoded...)} // not nil, which is null in SQL
		known.set(c.key, was.decided(did, a, isRefusal))
		out = append(out, c.message(a, false))
	}
	known.save(&tx.Last)
	return out, nil
}

// errNoRefusal is wrapped for a command that was refused and has no answer that says so.
var errNoRefusal = errors.New("the saga has no answer that says so")

// perform does what has to be done for a command that is not known, and returns its answer.
func (c *command) perform(ctx context.Context, tx *inbox.Tx, what action, was record) (body any, kind string, isRefusal bool, err error) {
	switch what {
	case refuseLate:
		return Refused{reasonUndone}, c.step.Refused, true, nil
	case recordUndo:
		return struct{}{}, c.step.Undone, false, nil
	case takeBack:
		body, kind = struct{}{}, c.step.Undone
		_, err = c.run(ctx, tx, was.reply.body)
	case carryOut, repeat:
		kind = c.step.Done
		body, err = c.run(ctx, tx, nil)
	}
	refusal, isRefusal := errors.AsType[*Refusal](err)
	switch {
	case isRefusal && (c.undoing || c.step.Refused == ""):
		return nil, "", false, fmt.Errorf("%w, and %w", err, errNoRefusal)
	case isRefusal:
		return Refused{refusal.Reason}, c.step.Refused, true, nil
	}
	return body, kind, false, err
}
