package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/contracts"
	"waybill.example/orders/order"
	"waybill.example/sdk/outbox"
)

// maxTogether bounds the orders of one transaction.
const maxTogether = 500

// Place stores an order and the OrderCreated event that tells of it, both or neither, and returns
// the order's id. Orders that are placed while a transaction is under way share the next one. It
// returns [order.ErrKeyReused] where the request's key came before with another order.
func (s *Store) Place(ctx context.Context, r order.Request) (int64, error) {
	placed, err := s.placing.Do(ctx, r)
	if err != nil {
		return 0, err
	}
	return placed.ID, placed.Err
}

// Placed is what became of one request.
type Placed struct {
	ID  int64
	Err error // [order.ErrKeyReused], or nil
}

// maxClaims bounds how often keys are looked up again that another instance claimed in the meantime.
const maxClaims = 3

// PlaceAll places any number of orders in one transaction, and returns their ids in the same order. It
// takes two round trips: the ids are drawn first, because the events tell them, and the rest goes
// together.
func (s *Store) PlaceAll(ctx context.Context, requests []order.Request) ([]Placed, error) {
	for attempt := 1; ; attempt++ {
		placed, err := s.placeAll(ctx, requests)
		switch {
		case err == nil:
			return placed, nil
		case !claimedMeanwhile(err) || attempt == maxClaims:
			return nil, fmt.Errorf("place %d orders: %w", len(requests), err)
		}
	}
}

func (s *Store) placeAll(ctx context.Context, requests []order.Request) ([]Placed, error) {
	ids, now, claims, err := s.prepare(ctx, requests)
	if err != nil {
		return nil, err
	}
	placed, fresh := assign(requests, ids, claims)
	if len(fresh) == 0 {
		return placed, nil
	}
	// Without begin and commit a batch is one transaction.
	batch := &pgx.Batch{}
	if err := insert(batch, fresh, now); err != nil {
		return nil, err
	}
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	return placed, nil
}

// numbered is a request that becomes the order of an id.
type numbered struct {
	order.Request
	ID int64
}

func insert(batch *pgx.Batch, requests []numbered, now time.Time) error {
	events := make([]outbox.Message, len(requests))
	for i, p := range requests {
		var err error
		if events[i], err = created(p, now); err != nil {
			return err
		}
	}
	claim(batch, requests)
	batch.Queue(insertSQL, append(columnsOf(requests), now)...)
	return outbox.Queue(batch, events...)
}

// prepare draws an id for each placement, and reads which of their keys came before.
func (s *Store) prepare(ctx context.Context, requests []order.Request) (ids []int64, now time.Time, claims claims, err error) {
	if !slices.ContainsFunc(requests, keyed) {
		ids, now, err = drawn(s.pool.Query(ctx, drawSQL, len(requests)))
		return ids, now, nil, err
	}
	batch := &pgx.Batch{}
	batch.Queue(drawSQL, len(requests)).Query(func(rows pgx.Rows) (err error) {
		ids, now, err = drawn(rows, nil)
		return err
	})
	claims = lookUp(batch, requests)
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, now, nil, fmt.Errorf("draw ids: %w", err)
	}
	return ids, now, claims, nil
}

const drawSQL = `select nextval('orders_id_seq') as id, now() as at from generate_series(1, $1::int)`

// drawn reads the ids for new orders, ascending, and the time on the database's clock.
func drawn(rows pgx.Rows, err error) (ids []int64, now time.Time, _ error) {
	if err != nil {
		return nil, now, fmt.Errorf("draw ids: %w", err)
	}
	var id int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &now}, func() error { ids = append(ids, id); return nil }); err != nil {
		return nil, now, fmt.Errorf("draw ids: %w", err)
	}
	return ids, now, nil
}

const insertSQL = `
insert into orders (id, user_id, sku, quantity, note, created_at, updated_at) overriding system value
select id, user_id, sku, quantity, note, $6, $6
from unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::bigint[]) as draft (user_id, sku, quantity, note, id)`

// columnsOf turns requests into one array per column, the shape that unnest takes.
func columnsOf(requests []numbered) []any {
	n := len(requests)
	users, skus := make([]string, n), make([]string, n)
	quantities, notes, ids := make([]int32, n), make([]string, n), make([]int64, n)
	for i, p := range requests {
		users[i], skus[i], quantities[i], notes[i], ids[i] = p.UserID, p.SKU, p.Quantity, p.Note, p.ID
	}
	return []any{users, skus, quantities, notes, ids}
}

func created(p numbered, now time.Time) (outbox.Message, error) {
	return message(contracts.OrderCreated{
		Envelope: contracts.NewEnvelope(p.ID, uuid.Nil, now),
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
