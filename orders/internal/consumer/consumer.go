// Package consumer applies the saga's commands to orders, each of them once, and answers each with
// an event that tells what the order is now.
package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/contracts"
	"waybill.example/orders/order"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// Store queues statements that read and change orders.
type Store interface {
	Lock(batch *pgx.Batch, ids []int64, found func(id int64, state order.State, since, at time.Time))
	Change(batch *pgx.Batch, changes []order.Change)
}

// Handler handles batches of commands. It is safe for concurrent use.
type Handler struct {
	inbox   inbox.Processor[order.Command]
	store   Store
	log     *slog.Logger
	metrics metrics
}

// New returns a handler whose transactions begin on db.
func New(db *pgxpool.Pool, store Store, log *slog.Logger, reg prometheus.Registerer) *Handler {
	h := &Handler{store: store, log: log, metrics: newMetrics(reg)}
	h.inbox = inbox.Processor[order.Command]{
		Consumer:  contracts.GroupOrders,
		DB:        db,
		Positions: inbox.NewPositions(db, contracts.GroupOrders),
		Decode:    decode,
		Content:   func(d inbox.Delivery) []byte { return contracts.Content(d.Value) },
		Observe:   h.metrics.observe,
		Health:    &inbox.Health{},
		Log:       log,
	}
	return h
}

// Process applies a batch in one transaction; after an error nothing of it has happened.
func (h *Handler) Process(ctx context.Context, batch []inbox.Delivery) error {
	var done []result
	var orders *known
	attempt := h.inbox
	attempt.Load = func(reads *pgx.Batch, commands []received) { orders = h.load(reads, commands) }
	attempt.Apply = func(_ context.Context, tx *inbox.Tx, commands []received) (out []outbox.Message, err error) {
		out, done, err = h.apply(tx, orders, commands)
		return out, err
	}
	if err := attempt.Process(ctx, batch); err != nil {
		return err
	}
	h.report(done) // only what was committed
	return nil
}

// Reject sets a command aside that Process refuses again and again.
func (h *Handler) Reject(ctx context.Context, d inbox.Delivery, reason error) error {
	return h.inbox.Reject(ctx, d, reason)
}

// Check returns an error once a command could not even be set aside.
func (h *Handler) Check(ctx context.Context) error { return h.inbox.Health.Check(ctx) }

// Positions is how far the handler has come in each partition.
func (h *Handler) Positions() *inbox.Positions { return h.inbox.Positions }

func (h *Handler) report(done []result) {
	for _, r := range done {
		h.metrics.commands.WithLabelValues(string(r.command.Verb), string(r.outcome)).Inc()
		switch r.outcome {
		case order.Contradicted:
			h.log.Warn("command contradicts the order and changes nothing",
				"order_id", r.command.OrderID, "command", r.command.Verb, "status", r.status, "event_id", r.eventID)
		case order.Changed, order.Repeated, unknownOrder:
		}
	}
}
