// Package consumer applies the saga's commands to orders, each of them once, and answers each with
// an event that tells what the order is now.
package consumer

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/chassis/telemetry"
	"waybill.example/contracts"
	"waybill.example/orders/order"
	"waybill.example/sdk/inbox"
)

// Store queues statements that read and change orders.
type Store interface {
	Lock(batch *pgx.Batch, ids []int64, found func(id int64, state order.State, since, at time.Time))
	Change(batch *pgx.Batch, changes []order.Change)
}

// Handler handles batches of commands. It is safe for concurrent use.
type Handler struct {
	inbox.Processor[order.Command, known]

	store   Store
	log     *slog.Logger
	metrics metrics
}

// New returns a handler whose transactions begin on db.
func New(db *pgxpool.Pool, store Store, log *slog.Logger, reg prometheus.Registerer) *Handler {
	h := &Handler{store: store, log: log, metrics: newMetrics(reg)}
	h.Processor = inbox.Processor[order.Command, known]{
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

// report is about what was committed only.
func (h *Handler) report(done []result) {
	for _, r := range done {
		h.metrics.commands.WithLabelValues(string(r.command.Action), string(r.outcome)).Inc()
		switch r.outcome {
		case order.Contradicted:
			h.log.Warn("command contradicts the order and changes nothing",
				"order_id", r.command.OrderID, "command", r.command.Action, "status", r.status, "event_id", r.eventID)
		case order.Changed, order.Repeated, unknownOrder:
		}
	}
}
