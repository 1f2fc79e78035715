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

	"waybill.example/chassis/logs"
	"waybill.example/chassis/telemetry"
	"waybill.example/contracts"
	"waybill.example/inventory/stock"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/tracecontext"
)

// Store queues the statements that read what commands need, and write what was decided about them.
type Store interface {
	Load(batch *pgx.Batch, commands []stock.Command) *stock.Known
	Save(batch *pgx.Batch, decision stock.Decision, at time.Time)
}

// Handler makes the effects of commands durable, once each. It is safe for concurrent use.
type Handler struct {
	inbox.Processor[stock.Command, stock.Known]

	store   Store
	log     *slog.Logger
	metrics metrics
}

// New returns a handler whose transactions begin on db.
func New(db *pgxpool.Pool, store Store, log *slog.Logger, reg prometheus.Registerer) *Handler {
	h := &Handler{store: store, log: log, metrics: newMetrics(reg)}
	h.Processor = inbox.Processor[stock.Command, stock.Known]{
		Consumer:  contracts.GroupInventory,
		DB:        db,
		Positions: inbox.NewPositions(db, contracts.GroupInventory),
		Decode:    decode,
		Content:   func(d inbox.Delivery) []byte { return contracts.Content(d.Value) },
		Load:      h.load,
		Apply:     h.apply,
		Observe:   telemetry.Inbox(reg, contracts.GroupInventory),
		Health:    &inbox.Health{},
		Log:       log,
	}
	return h
}

type command = inbox.Received[stock.Command]

func (h *Handler) load(reads *pgx.Batch, received []command) *stock.Known {
	return h.store.Load(reads, messages(received))
}

func (h *Handler) apply(ctx context.Context, tx *inbox.Tx, known *stock.Known, received []command) ([]outbox.Message, error) {
	decision := stock.Decide(*known, messages(received))
	h.store.Save(&tx.Last, decision, tx.Now)
	tx.AfterCommit(func() { h.report(ctx, received, decision.Replies) })
	return answers(received, decision.Replies, known.Since(tx.Now))
}

// report is about what was committed only.
func (h *Handler) report(ctx context.Context, commands []command, replies []stock.Reply) {
	debug := h.log.Enabled(ctx, slog.LevelDebug)
	for i, r := range replies {
		c := commands[i].Message
		h.metrics.commands.WithLabelValues(string(c.Action), string(r.State), string(r.Outcome)).Inc()
		if r.Outcome == stock.Contradicted {
			h.logged(commands[i]).WarnContext(ctx, "order asks for other items than at first and gets the first answer", "lines", c.Lines)
		} else if debug {
			h.logged(commands[i]).DebugContext(ctx, "command carried out", "state", r.State, "outcome", r.Outcome)
		}
	}
}

// logged is a logger whose lines are about one command.
func (h *Handler) logged(c command) *slog.Logger {
	return h.log.With("order_id", c.Message.OrderID, "command", c.Message.Action, "event_id", c.EventID,
		logs.TraceKey, tracecontext.TraceID(c.Delivery.Header(tracecontext.Header)))
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
		record = record.Answer(c.EventID, reply.Outcome != stock.Decided)
		record.Headers = tracecontext.Set(record.Headers, tracecontext.Parse(c.Delivery.Header(tracecontext.Header)))
		out[i] = outbox.Message(record)
	}
	return out, nil
}
