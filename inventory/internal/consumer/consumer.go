// Package consumer connects the commands that arrive from Kafka to the stock: it decodes them, has
// the store apply them, and turns the answers into messages for the outbox, all in the transaction
// that records the commands as handled.
package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"waybill/contracts"
	"waybill/inventory/internal/stock"
	"waybill/outbox"
	"waybill/outbox/inbox"
)

// Store applies commands inside a transaction and returns the answer to each.
type Store interface {
	Apply(ctx context.Context, tx pgx.Tx, commands []stock.Command) ([]stock.Reply, error)
}

// Handler makes the effects of commands durable, once each. It is safe for concurrent use.
type Handler struct {
	db      inbox.Begin
	store   Store
	metrics metrics
}

// New returns a handler that works on db through the store.
func New(db inbox.Begin, store Store, reg prometheus.Registerer) *Handler {
	return &Handler{db: db, store: store, metrics: newMetrics(reg)}
}

// Process applies a batch of deliveries in one transaction. When it returns nil the batch is
// durable; after an error nothing of it has happened.
func (h *Handler) Process(ctx context.Context, batch []inbox.Delivery) error {
	var answered tally
	processor := h.processor()
	processor.Apply = func(ctx context.Context, tx pgx.Tx, received []command) ([]outbox.Message, error) {
		commands := make([]stock.Command, len(received))
		for i, r := range received {
			commands[i] = r.Message
		}
		replies, err := h.store.Apply(ctx, tx, commands)
		if err != nil {
			return nil, err
		}
		answered = count(commands, replies)
		return answers(received, replies, time.Now())
	}
	if err := processor.Process(ctx, batch); err != nil {
		return err
	}
	h.metrics.answered(answered)
	return nil
}

// Reject sets a delivery that Process refuses for good aside, in a transaction of its own.
func (h *Handler) Reject(ctx context.Context, d inbox.Delivery, reason error) error {
	return h.processor().Reject(ctx, d, reason)
}

func (h *Handler) processor() *inbox.Processor[stock.Command] {
	return &inbox.Processor[stock.Command]{
		Consumer: contracts.GroupInventory,
		DB:       h.db,
		Decode:   decode,
		Observe:  h.metrics.observe,
	}
}

type command = inbox.Received[stock.Command]

// answers turns the reply to each command into the message that carries it.
func answers(received []command, replies []stock.Reply, now time.Time) ([]outbox.Message, error) {
	messages := make([]outbox.Message, len(replies))
	for i, reply := range replies {
		record, err := contracts.Encode(answer(received[i], reply, now))
		if err != nil {
			return nil, fmt.Errorf("answer %s of order %d: %w", received[i].Message.Action, received[i].Message.OrderID, err)
		}
		messages[i] = outbox.Message(record)
		if trace := traceParent(received[i].Delivery); trace != "" {
			// The headers exist: the cause of an answer is one of them.
			messages[i].Headers[contracts.HeaderTraceParent] = trace
		}
	}
	return messages, nil
}

func answer(received command, reply stock.Reply, now time.Time) contracts.Message {
	envelope := contracts.NewEnvelope(received.Message.OrderID, received.EventID, now)
	switch reply.State {
	case stock.Reserved:
		return contracts.InventoryReserved{Envelope: envelope, Reserved: true}
	case stock.Rejected:
		return contracts.InventoryRejected{Envelope: envelope, Reason: reply.Reason}
	default:
		return contracts.InventoryReleased{Envelope: envelope}
	}
}
