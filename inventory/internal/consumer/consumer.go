// Package consumer connects the commands that arrive from Kafka to the stock: it decodes them, has
// the store apply them, and turns the answers into messages for the outbox, all in the transaction
// that records the commands as handled.
package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/contracts"
	"waybill.example/inventory/stock"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// Store queues the statements that read what commands need, and write what was decided about them.
type Store interface {
	Load(batch *pgx.Batch, commands []stock.Command) *stock.Known
	Save(batch *pgx.Batch, decision stock.Decision, at time.Time)
}

// Handler makes the effects of commands durable, once each. It is safe for concurrent use.
type Handler struct {
	inbox   inbox.Processor[stock.Command]
	store   Store
	log     *slog.Logger
	metrics metrics
}

// New returns a handler whose transactions begin on db.
func New(db *pgxpool.Pool, store Store, log *slog.Logger, reg prometheus.Registerer) *Handler {
	h := &Handler{store: store, log: log, metrics: newMetrics(reg)}
	h.inbox = inbox.Processor[stock.Command]{
		Consumer:  contracts.GroupInventory,
		DB:        db,
		Positions: inbox.NewPositions(db, contracts.GroupInventory),
		Decode:    decode,
		Content:   func(d inbox.Delivery) []byte { return contracts.Content(d.Value) },
		Observe:   h.metrics.observe,
		Health:    &inbox.Health{},
		Log:       log,
	}
	return h
}

type command = inbox.Received[stock.Command]

// Process applies a batch of deliveries in one transaction. When it returns nil the batch is
// durable; after an error nothing of it has happened.
func (h *Handler) Process(ctx context.Context, batch []inbox.Delivery) error {
	var known *stock.Known
	var commands []command
	var replies []stock.Reply
	attempt := h.inbox
	attempt.Load = func(reads *pgx.Batch, received []command) { known = h.store.Load(reads, messages(received)) }
	attempt.Apply = func(_ context.Context, tx *inbox.Tx, received []command) ([]outbox.Message, error) {
		decision := stock.Decide(known.OnHand, known.Reservations, messages(received))
		now := time.Now().Truncate(time.Microsecond) // as precise as Postgres keeps it
		h.store.Save(&tx.Last, decision, now)
		commands, replies = received, decision.Replies
		return answers(received, replies, known.Since(now))
	}
	if err := attempt.Process(ctx, batch); err != nil {
		return err
	}
	h.report(commands, replies) // only what was committed
	return nil
}

// Reject sets a delivery that Process refuses for good aside, in a transaction of its own.
func (h *Handler) Reject(ctx context.Context, d inbox.Delivery, reason error) error {
	return h.inbox.Reject(ctx, d, reason)
}

// Check returns an error once a command could not even be set aside.
func (h *Handler) Check(ctx context.Context) error { return h.inbox.Health.Check(ctx) }

// Positions is how far the handler has come in each partition.
func (h *Handler) Positions() *inbox.Positions { return h.inbox.Positions }

func (h *Handler) report(commands []command, replies []stock.Reply) {
	for i, r := range replies {
		c := commands[i].Message
		h.metrics.commands.WithLabelValues(string(c.Action), string(r.State), string(r.Effect)).Inc()
		if r.Effect == stock.Contradicted {
			h.log.Warn("order asks for other items than at first and gets the first answer",
				"order_id", c.OrderID, "sku", c.SKU, "quantity", c.Quantity, "event_id", commands[i].EventID)
		}
	}
}

func messages(received []command) []stock.Command {
	commands := make([]stock.Command, len(received))
	for i, r := range received {
		commands[i] = r.Message
	}
	return commands
}

// answers turns the reply to each command into the message that carries it. A command that decided
// nothing is answered with the event that its order had before.
func answers(received []command, replies []stock.Reply, since func(stock.Reply, int64) time.Time) ([]outbox.Message, error) {
	out := make([]outbox.Message, len(replies))
	for i, reply := range replies {
		c := received[i]
		record, err := contracts.Encode(reply.Event(c.Message.OrderID, since(reply, c.Message.OrderID)))
		if err != nil {
			return nil, fmt.Errorf("answer %s of order %d: %w", c.Message.Action, c.Message.OrderID, err)
		}
		record = record.Answer(c.EventID, reply.Effect != stock.Decided)
		if trace := traceParent(c.Delivery); trace != "" {
			record.Headers[contracts.HeaderTraceParent] = trace
		}
		out[i] = outbox.Message(record)
	}
	return out, nil
}
