// Package consumer connects the commands that arrive from Kafka to the orders: it decodes them, has
// package order decide and the store save, and turns the answers into messages for the outbox, all
// in the transaction that records the commands as handled.
package consumer

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/chassis/logs"
	"waybill.example/chassis/telemetry"
	"waybill.example/contracts"
	"waybill.example/orders/order"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/tracecontext"
)

// Store queues the statements that read what commands need, and write what was decided about them.
type Store interface {
	Load(batch *pgx.Batch, commands []order.Command) *order.Known
	Save(batch *pgx.Batch, decision order.Decision)
}

// Handler handles batches of commands. It is safe for concurrent use.
type Handler struct {
	inbox.Processor[order.Command, order.Known]

	store   Store
	changed func(ids ...int64)
	log     *slog.Logger
	metrics metrics
}

// New returns a handler whose transactions begin on db. It calls changed with the ids of orders
// that it has changed, after the commit; that must not block.
func New(db *pgxpool.Pool, store Store, changed func(ids ...int64), log *slog.Logger, reg prometheus.Registerer) *Handler {
	h := &Handler{store: store, changed: changed, log: log, metrics: newMetrics(reg)}
	h.Processor = inbox.Processor[order.Command, order.Known]{
		Consumer:  contracts.GroupOrders,
		DB:        db,
		Positions: inbox.NewPositions(db, contracts.GroupOrders),
		Decode:    decode,
		Content:   func(d inbox.Delivery) []byte { return contracts.Content(d.Value) },
		Load:      h.load,
		Apply:     h.apply,
		Observe:   telemetry.Inbox(reg, contracts.GroupOrders),
		Health:    &inbox.Health{},
		Log:       log,
	}
	return h
}

// announce says which orders have changed.
func (h *Handler) announce(changes []order.Change) {
	if len(changes) == 0 {
		return
	}
	ids := make([]int64, len(changes))
	for i, c := range changes {
		ids[i] = c.OrderID
	}
	h.changed(ids...)
}

// report is about what was committed only.
func (h *Handler) report(ctx context.Context, commands []command, replies []order.Reply) {
	debug := h.log.Enabled(ctx, slog.LevelDebug)
	for i, r := range replies {
		c := commands[i].Message
		h.metrics.commands.WithLabelValues(string(c.Action), string(r.Outcome)).Inc()
		if r.Outcome == order.Contradicted {
			h.logged(commands[i]).WarnContext(ctx, "command contradicts the order and changes nothing", "status", r.Status)
		} else if debug {
			h.logged(commands[i]).DebugContext(ctx, "command carried out", "status", r.Status, "outcome", r.Outcome)
		}
	}
}

// logged is a logger whose lines are about one command.
func (h *Handler) logged(c command) *slog.Logger {
	return h.log.With("order_id", c.Message.OrderID, "command", c.Message.Action, "event_id", c.EventID,
		logs.TraceKey, tracecontext.TraceID(c.Delivery.Header(tracecontext.Header)))
}
