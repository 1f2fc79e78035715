package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	chassispg "waybill.example/chassis/postgres"
	"waybill.example/contracts"
	"waybill.example/orders/order"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/tracecontext"
)

// maxClaims bounds how often keys are looked up again that another instance claimed in the
// meantime.
const maxClaims = 3

// Queue adds statements to the transaction that stores new orders; at is its time.
type Queue func(batch *pgx.Batch, placements []order.Placement, at time.Time) error

// PlaceAll stores orders and their OrderCreated events in one transaction, all or none, and returns
// what became of each request, in their order: see [order.Place].
func (s *Store) PlaceAll(ctx context.Context, requests []order.Request) ([]order.Placed, error) {
	return s.PlaceAllWith(ctx, requests, func(batch *pgx.Batch, placements []order.Placement, at time.Time) error {
		return s.queueEvents(ctx, batch, placements, at)
	})
}

// PlaceAllWith stores orders as [Store.PlaceAll] does, with what queue adds instead of their
// events. It takes two round trips: the ids are allocated first, because what is queued contains
// them, and the rest goes together.
func (s *Store) PlaceAllWith(ctx context.Context, requests []order.Request, queue Queue) ([]order.Placed, error) {
	for attempt := 1; ; attempt++ {
		placed, err := s.placeAll(ctx, requests, queue)
		switch {
		case err == nil:
			return placed, nil
		case !claimedMeanwhile(err) || attempt == maxClaims:
			return nil, fmt.Errorf("place %d orders: %w", len(requests), err)
		}
	}
}

func (s *Store) placeAll(ctx context.Context, requests []order.Request, queue Queue) ([]order.Placed, error) {
	ids, now, claims, err := s.prepare(ctx, requests)
	if err != nil {
		return nil, err
	}
	placed, placements := order.Place(requests, ids, claims)
	if len(placements) == 0 {
		return placed, nil
	}
	// Without begin and commit a batch is one transaction.
	batch := &pgx.Batch{}
	claim(batch, placements)
	batch.Queue(insertSQL, append(columnsOf(placements), now)...)
	if err := queue(batch, placements, now); err != nil {
		return nil, err
	}
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	return placed, nil
}

// queueEvents queues the events that start the orders' sagas.
func (s *Store) queueEvents(ctx context.Context, batch *pgx.Batch, placements []order.Placement, at time.Time) error {
	events := make([]outbox.Message, len(placements))
	for i, p := range placements {
		var err error
		if events[i], err = message(p.Event(at), p.TraceParent); err != nil {
			return err
		}
	}
	return s.Outbox.Queue(ctx, batch, events...)
}

// NothingPlaced reports whether an error of [Store.PlaceAll] means that no order was stored. Of a
// transaction whose connection was lost it is unknown whether it was committed; any other error
// says that it was rolled back.
func NothingPlaced(err error) bool { return !chassispg.Down(err) }

// prepare allocates an id for each request, and reads which of their keys were claimed before.
func (s *Store) prepare(ctx context.Context, requests []order.Request) (ids []int64, now time.Time, claims map[order.RequestKey]order.Claim, err error) {
	if !slices.ContainsFunc(requests, func(r order.Request) bool { return r.Key != "" }) {
		ids, now, err = allocated(s.pool.Query(ctx, allocateSQL, len(requests)))
		return ids, now, nil, err
	}
	batch := &pgx.Batch{}
	batch.Queue(allocateSQL, len(requests)).Query(func(rows pgx.Rows) (err error) {
		ids, now, err = allocated(rows, nil)
		return err
	})
	claims = lookUp(batch, requests)
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, now, nil, fmt.Errorf("allocate ids: %w", err)
	}
	return ids, now, claims, nil
}

const allocateSQL = `select nextval('orders_id_seq') as id, now() as at from generate_series(1, $1::int)`

// allocated reads the ids for new orders, ascending, and the time on the database's clock.
func allocated(rows pgx.Rows, err error) (ids []int64, now time.Time, _ error) {
	if err != nil {
		return nil, now, fmt.Errorf("allocate ids: %w", err)
	}
	var id int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &now}, func() error { ids = append(ids, id); return nil }); err != nil {
		return nil, now, fmt.Errorf("allocate ids: %w", err)
	}
	return ids, now, nil
}

const insertSQL = `
insert into orders (id, user_id, sku, quantity, items, note, created_at, updated_at) overriding system value
select id, user_id, nullif(sku, ''), nullif(quantity, 0), items::jsonb, note, $7, $7
from unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::bigint[])
  as draft (user_id, sku, quantity, items, note, id)`

// columnsOf turns placements into one array per column, the shape that unnest takes.
func columnsOf(placements []order.Placement) []any {
	n := len(placements)
	users, skus := make([]string, n), make([]string, n)
	quantities, items := make([]int32, n), make([]*string, n)
	notes, ids := make([]string, n), make([]int64, n)
	for i, p := range placements {
		users[i], skus[i], quantities[i], notes[i], ids[i] = p.UserID, p.SKU, p.Quantity, p.Note, p.ID
		if len(p.Items) > 0 {
			list, _ := json.Marshal(p.Items) // strings and numbers always have a JSON form
			items[i] = new(string(list))
		}
	}
	return []any{users, skus, quantities, items, notes, ids}
}

// message makes an event ready for the outbox, as part of a trace where there is one.
func message(m contracts.Message, traceparent string) (outbox.Message, error) {
	record, err := contracts.Encode(m)
	if err != nil {
		return outbox.Message{}, err
	}
	record.Headers = tracecontext.Set(record.Headers, traceparent)
	return outbox.Message(record), nil
}
