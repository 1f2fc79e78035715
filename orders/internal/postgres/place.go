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

// PlaceAll places any number of orders in one transaction, and returns their ids in the same order. It
// takes two round trips: the ids are drawn first, because the events tell them, and the rest goes
// together.
func (s *Store) PlaceAll(ctx context.Context, placements []Placement) ([]int64, error) {
	ids, now, err := s.draw(ctx, len(placements))
	if err != nil {
		return nil, fmt.Errorf("place %d orders: %w", len(placements), err)
	}
	events := make([]outbox.Message, len(placements))
	for i, p := range placements {
		if events[i], err = created(p, ids[i], now); err != nil {
			return nil, fmt.Errorf("place %d orders: %w", len(placements), err)
		}
	}
	// Without begin and commit a batch is one transaction.
	batch := &pgx.Batch{}
	batch.Queue(insertSQL, append(columnsOf(placements), ids, now)...)
	if err := outbox.Queue(batch, events...); err != nil {
		return nil, fmt.Errorf("place %d orders: %w", len(placements), err)
	}
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("place %d orders: %w", len(placements), err)
	}
	return ids, nil
}

const drawSQL = `select nextval('orders_id_seq') as id, now() as at from generate_series(1, $1::int)`

type drawn struct {
	ID int64
	At time.Time
}

// draw returns ids for n new orders, ascending, and the time on the database's clock.
func (s *Store) draw(ctx context.Context, n int) (ids []int64, now time.Time, err error) {
	rows, err := s.pool.Query(ctx, drawSQL, n)
	if err != nil {
		return nil, now, fmt.Errorf("draw ids: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[drawn])
	if err != nil {
		return nil, now, fmt.Errorf("draw ids: %w", err)
	}
	ids = make([]int64, len(all))
	for i, d := range all {
		ids[i], now = d.ID, d.At
	}
	return ids, now, nil
}

const insertSQL = `
insert into orders (id, user_id, sku, quantity, note, created_at, updated_at) overriding system value
select id, user_id, sku, quantity, note, $6, $6
from unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::bigint[]) as draft (user_id, sku, quantity, note, id)`

// columnsOf turns placements into one array a column, the shape that unnest takes.
func columnsOf(placements []Placement) []any {
	n := len(placements)
	users, skus := make([]string, n), make([]string, n)
	quantities, notes := make([]int32, n), make([]string, n)
	for i, p := range placements {
		users[i], skus[i], quantities[i], notes[i] = p.UserID, p.SKU, p.Quantity, p.Note
	}
	return []any{users, skus, quantities, notes}
}

func created(p Placement, id int64, now time.Time) (outbox.Message, error) {
	return message(contracts.OrderCreated{
		Envelope: contracts.NewEnvelope(id, uuid.Nil, now),
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
