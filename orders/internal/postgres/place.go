package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill/contracts"
	"waybill/orders/internal/order"
	"waybill/outbox"
)

// maxTogether bounds the orders of one transaction.
const maxTogether = 500

// Place stores an order and the OrderCreated event that tells of it, both or neither, and returns
// the order's id. traceparent, if not empty, travels with the event. Orders that are placed while a
// transaction is under way share the next one.
func (s *Store) Place(ctx context.Context, d order.Draft, traceparent string) (int64, error) {
	return s.placing.Do(ctx, Placement{d, traceparent})
}

// Placement is an order to be placed, and the trace that it belongs to.
type Placement struct {
	order.Draft
	TraceParent string
}

// PlaceAll places any number of orders in one transaction and the round trips of one, and returns
// their ids in the same order.
func (s *Store) PlaceAll(ctx context.Context, placements []Placement) ([]int64, error) {
	var ids []int64
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		born, err := insert(ctx, tx, placements)
		if err != nil {
			return err
		}
		ids = make([]int64, len(born))
		events := make([]outbox.Message, len(born))
		for i, b := range born {
			ids[i] = b.ID
			if events[i], err = created(placements[i], b); err != nil {
				return err
			}
		}
		return outbox.Append(ctx, tx, events...)
	})
	if err != nil {
		return nil, fmt.Errorf("place %d orders: %w", len(placements), err)
	}
	return ids, nil
}

// birth is what the database gives a new order.
type birth struct {
	ID        int64
	CreatedAt time.Time
}

// The rows come back in the order of the arrays, because unnest keeps it and an insert returns each
// row as it makes it.
const insertSQL = `
insert into orders (user_id, sku, quantity, note)
select user_id, sku, quantity, note
from unnest($1::text[], $2::text[], $3::int[], $4::text[]) as draft (user_id, sku, quantity, note)
returning id, created_at`

func insert(ctx context.Context, tx pgx.Tx, placements []Placement) ([]birth, error) {
	n := len(placements)
	users, skus := make([]string, n), make([]string, n)
	quantities, notes := make([]int32, n), make([]string, n)
	for i, p := range placements {
		users[i], skus[i], quantities[i], notes[i] = p.UserID, p.SKU, p.Quantity, p.Note
	}
	rows, err := tx.Query(ctx, insertSQL, users, skus, quantities, notes)
	if err != nil {
		return nil, fmt.Errorf("insert orders: %w", err)
	}
	born, err := pgx.CollectRows(rows, pgx.RowToStructByName[birth])
	if err != nil {
		return nil, fmt.Errorf("insert orders: %w", err)
	}
	return born, nil
}

func created(p Placement, b birth) (outbox.Message, error) {
	return message(contracts.OrderCreated{
		Envelope: contracts.NewEnvelope(b.ID, uuid.Nil, b.CreatedAt),
		UserID:   p.UserID, SKU: p.SKU, Quantity: p.Quantity,
	}, p.TraceParent)
}

// message makes an event ready for the outbox, as part of a trace where there is one.
func message(m contracts.Message, traceparent string) (outbox.Message, error) {
	record, err := contracts.Encode(m)
	if err != nil {
		return outbox.Message{}, err
	}
	out := outbox.Message(record)
	if traceparent != "" {
		out.Headers = map[string]string{contracts.HeaderTraceParent: traceparent}
	}
	return out, nil
}
