package consumer

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/contracts"
	"waybill.example/orders/order"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/tracecontext"
)

type command = inbox.Received[order.Command]

func (h *Handler) load(reads *pgx.Batch, received []command) *order.Known {
	return h.store.Load(reads, messages(received))
}

// apply carries the commands out, and answers them. A command for an order that does not exist can
// never be applied, because a command follows from an order that was committed: it becomes a dead
// letter.
func (h *Handler) apply(ctx context.Context, tx *inbox.Tx, known *order.Known, received []command) ([]outbox.Message, error) {
	decision := order.Decide(*known, messages(received))
	out := make([]outbox.Message, 0, len(received))
	for i, reply := range decision.Replies {
		if reply.Outcome == order.Unknown {
			tx.Reject(i, fmt.Errorf("order %d does not exist", received[i].Message.OrderID))
		}
		if reply.Event == nil {
			continue
		}
		message, err := answer(received[i], reply)
		if err != nil {
			return nil, err
		}
		out = append(out, message)
	}
	h.store.Save(&tx.Last, decision)
	tx.AfterCommit(func() {
		h.announce(decision.Changes)
		h.report(ctx, received, decision.Replies)
	})
	return out, nil
}

func messages(received []command) []order.Command {
	commands := make([]order.Command, len(received))
	for i, r := range received {
		commands[i] = r.Message
	}
	return commands
}

// answer turns the reply to a command into the message that carries it. A command that changed
// nothing is answered with the event that its order had before.
func answer(c command, reply order.Reply) (outbox.Message, error) {
	record, err := contracts.Encode(reply.Event)
	if err != nil {
		return outbox.Message{}, fmt.Errorf("answer %s of order %d: %w", c.Message.Action, c.Message.OrderID, err)
	}
	record = record.Answer(c.EventID, reply.Outcome != order.Changed)
	record.Headers = tracecontext.Set(record.Headers, tracecontext.Parse(c.Delivery.Header(tracecontext.Header)))
	return outbox.Message(record), nil
}
