package consumer

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/contracts"
	"waybill.example/orders/order"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/tracecontext"
)

type received = inbox.Received[order.Command]

// unknownOrder is the outcome of a command for an order that does not exist.
const unknownOrder order.Outcome = "unknown_order"

// result is what became of one command.
type result struct {
	command order.Command
	eventID uuid.UUID
	outcome order.Outcome
	status  order.Status // of the order, afterwards
}

// known is what the commands' orders are, and since when, as of a time; they are locked.
type known struct {
	orders map[int64]order.State
	since  map[int64]time.Time
	at     time.Time
}

func (h *Handler) load(reads *pgx.Batch, commands []received) *known {
	ids := make([]int64, len(commands))
	for i, c := range commands {
		ids[i] = c.Message.OrderID
	}
	k := &known{orders: make(map[int64]order.State, len(ids)), since: make(map[int64]time.Time, len(ids))}
	h.store.Lock(reads, ids, func(id int64, state order.State, since, at time.Time) {
		k.orders[id], k.since[id], k.at = state, since, at
	})
	return k
}

// apply carries commands out one after the other on the locked states of their orders, and then
// has one statement store where each order has arrived. Every command but a refusal is answered with
// what its order is now, whether it changed anything or not: a saga that missed the first answer, or
// that is wrong about the order, learns the truth. Where nothing changed, that is the same event
// again. A command for an order that does not exist can never be applied (a command follows from an
// order that was committed) and becomes a dead letter.
func (h *Handler) apply(_ context.Context, tx *inbox.Tx, before *known, commands []received) ([]outbox.Message, error) {
	now := maps.Clone(before.orders)
	out := make([]outbox.Message, 0, len(commands))
	results := make([]result, 0, len(commands))
	for i, c := range commands {
		id := c.Message.OrderID
		state, exists := now[id]
		if !exists {
			tx.Reject(i, fmt.Errorf("order %d does not exist", id))
			results = append(results, result{c.Message, c.EventID, unknownOrder, ""})
			continue
		}
		next, outcome := state.Apply(c.Message)
		now[id] = next
		if next.Status != state.Status {
			before.since[id] = before.at
		}
		if event := order.Answer(c.Message, next, outcome, before.since[id], before.at); event != nil {
			message, err := encode(c, event, outcome != order.Changed)
			if err != nil {
				return nil, err
			}
			out = append(out, message)
		}
		results = append(results, result{c.Message, c.EventID, outcome, next.Status})
	}
	h.store.Change(&tx.Last, changes(before.orders, now))
	tx.AfterCommit(func() { h.report(results) })
	return out, nil
}

// changes lists the orders that are not as they were, in any order: their rows are locked already.
func changes(before, now map[int64]order.State) []order.Change {
	var list []order.Change
	for id, state := range now {
		if state != before[id] {
			list = append(list, order.Change{OrderID: id, From: before[id], To: state})
		}
	}
	return list
}

// encode makes an event ready for the outbox, as the answer to a command.
func encode(c received, event contracts.Message, again bool) (outbox.Message, error) {
	record, err := contracts.Encode(event)
	if err != nil {
		return outbox.Message{}, err
	}
	record = record.Answer(c.EventID, again)
	record.Headers = tracecontext.Set(record.Headers, tracecontext.Parse(c.Delivery.Header(tracecontext.Header)))
	return outbox.Message(record), nil
}
