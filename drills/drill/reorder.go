package drill

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
	"waybill.example/orders/client"
)

var reorder = Drill{
	Name:    "reorder",
	Promise: "cancellations overtake the orders that they are for: both come to one end, and nothing is held for them",
	For:     6 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		end := s.Fault("relay away, its rows sent backwards by hand")
		defer end()
		if err := s.Act(ctx, stack.Kill, stack.Relay); err != nil {
			return err
		}
		if err := s.Wait(ctx, d/2); err != nil {
			return err
		}
		cancelled, err := s.cancelPending(ctx, 100)
		if err != nil {
			return err
		}
		records, err := s.waitingRows(ctx)
		if err != nil {
			return err
		}
		slices.Reverse(records)
		// One at a time and not idempotent: the order on the topic is that of this slice.
		if err := s.produce(ctx, records); err != nil {
			return err
		}
		if err := s.orderUnknownSoFar(ctx); err != nil {
			return err
		}
		s.Measured("%d rows were sent backwards, with %d cancellations before their orders", len(records), cancelled)
		if err := s.Wait(ctx, d/2); err != nil {
			return err
		}
		return s.Act(ctx, stack.Start, stack.Relay)
	},
}

const pendingIDsSQL = `select id from orders where status = 'PENDING' order by id desc limit $1`

// cancelPending asks to cancel orders that have not ended.
func (s *Environment) cancelPending(ctx context.Context, n int) (int, error) {
	rows, err := s.pools["orders"].Query(ctx, pendingIDsSQL, n)
	if err != nil {
		return 0, fmt.Errorf("choose orders to cancel: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, fmt.Errorf("choose orders to cancel: %w", err)
	}
	orders, err := client.New(s.urls[0])
	if err != nil {
		return 0, err
	}
	defer orders.Close()
	for _, id := range ids {
		if _, err := orders.Cancel(ctx, id, "a drill"); err != nil {
			return 0, fmt.Errorf("cancel order %d: %w", id, err)
		}
	}
	return len(ids), nil
}

const waitingRowsSQL = `
select o.topic, coalesce(o.key, '') as key, o.payload, o.event_id, o.type, o.headers
  from outbox o cross join outbox_cursor c
 where not c.published @> o.id
 order by o.id`

// waitingRows are the messages of the rows that wait for the relay.
func (s *Environment) waitingRows(ctx context.Context) ([]*kgo.Record, error) {
	type row struct {
		Topic, Key, Type string
		Payload          []byte
		EventID          uuid.UUID
		Headers          map[string]string
	}
	found, err := s.pools["orders"].Query(ctx, waitingRowsSQL)
	if err != nil {
		return nil, fmt.Errorf("read the rows that wait: %w", err)
	}
	rows, err := pgx.CollectRows(found, pgx.RowToStructByName[row])
	if err != nil {
		return nil, fmt.Errorf("read the rows that wait: %w", err)
	}
	records := make([]*kgo.Record, len(rows))
	for i, r := range rows {
		records[i] = &kgo.Record{Topic: r.Topic, Key: []byte(r.Key), Value: r.Payload, Headers: []kgo.RecordHeader{
			{Key: contracts.HeaderID, Value: []byte(r.EventID.String())}, {Key: contracts.HeaderType, Value: []byte(r.Type)},
		}}
		for name, value := range r.Headers {
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
	}
	return records, nil
}
