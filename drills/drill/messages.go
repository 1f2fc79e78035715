package drill

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"waybill/contracts"
	"waybill/devstack/stack"
)

// topics are those that consumers read.
var topics = []string{
	contracts.TopicOrders, contracts.TopicInventory, contracts.TopicOrderCommands, contracts.TopicInventoryCommands,
}

var duplicates = Drill{
	Name:    "duplicates",
	Promise: "every message on every topic is sent again, shuffled and more than once: nothing happens twice",
	For:     10 * time.Second, Brief: 4 * time.Second,
	Break: func(ctx context.Context, s *Stage, d time.Duration) error {
		end := s.Fault("all messages sent again")
		defer end()
		sent := 0
		for until := time.Now().Add(d); time.Now().Before(until); {
			records, err := s.everything(ctx)
			if err != nil {
				return err
			}
			s.Random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
			if err := s.produce(ctx, records); err != nil {
				return err
			}
			sent += len(records)
			if err := s.Wait(ctx, d/4); err != nil {
				return err
			}
		}
		s.Measured("%d messages were sent again", sent)
		return nil
	},
}

// everything reads all topics, up to where nothing more comes.
func (s *Stage) everything(ctx context.Context) ([]*kgo.Record, error) {
	client, err := s.kafka(kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var records []*kgo.Record
	for quiet := false; !quiet; {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := client.PollRecords(poll, 10_000)
		cancel()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		quiet = fetches.NumRecords() == 0
		// The load goes on, so there is always something new: half a minute's worth is enough.
		quiet = quiet || len(records) > 20_000
		fetches.EachRecord(func(r *kgo.Record) {
			records = append(records, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers})
		})
	}
	return records, nil
}

func (s *Stage) produce(ctx context.Context, records []*kgo.Record) error {
	client, err := s.kafka()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("send messages by hand: %w", err)
	}
	return nil
}

var reorder = Drill{
	Name:    "reorder",
	Promise: "cancellations overtake the orders that they are for: both come to one end, and nothing is held for them",
	For:     6 * time.Second,
	Break: func(ctx context.Context, s *Stage, d time.Duration) error {
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
func (s *Stage) cancelPending(ctx context.Context, n int) (int, error) {
	rows, err := s.pools["orders"].Query(ctx, pendingIDsSQL, n)
	if err != nil {
		return 0, fmt.Errorf("choose orders to cancel: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, fmt.Errorf("choose orders to cancel: %w", err)
	}
	for _, id := range ids {
		if err := post(ctx, fmt.Sprintf("%s/v1/orders/%d/cancel", s.urls[0], id), "", `{"reason":"a drill"}`); err != nil {
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
func (s *Stage) waitingRows(ctx context.Context) ([]*kgo.Record, error) {
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

// ghost is an order that does not exist.
const ghost = 9_000_000_000_000

var poison = Drill{
	Name:    "poison",
	Promise: "messages that nobody can use are set aside with the reason, and hold nothing up",
	For:     8 * time.Second, Brief: 3 * time.Second,
	Break: func(ctx context.Context, s *Stage, d time.Duration) error {
		end := s.Fault("unusable messages on every topic")
		defer end()
		s.expectPoison()
		const rounds = 4
		sent := 0
		for range rounds {
			records, err := s.poisonous()
			if err != nil {
				return err
			}
			if err := s.produce(ctx, records); err != nil {
				return err
			}
			sent += len(records)
			if err := s.Wait(ctx, d/rounds); err != nil {
				return err
			}
		}
		s.Measured("%d unusable messages were sent", sent)
		return nil
	},
}

// expectPoison tells the audit of what the drill sends. Messages with a key of the drill's own come
// from no outbox; set aside as dead letters they are what is promised.
func (s *Stage) expectPoison() {
	mine := func(key string) bool {
		return strings.HasPrefix(key, "poison") || key == fmt.Sprint(ghost)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audit.Expected = func(key, _ string) bool { return mine(key) }
	s.audit.Foreign = func(_ uuid.UUID, key string) bool { return mine(key) }
}

// poisonous makes one message of each kind for each topic.
func (s *Stage) poisonous() ([]*kgo.Record, error) {
	bodies := map[string]string{
		"poison-text":     "not JSON",
		"poison-empty":    "",
		"poison-bytes":    "\x00\xff\xfe",
		"poison-array":    "[1, 2, 3]",
		"poison-fields":   `{"type":"OrderCreated","eventId":"no uuid"}`,
		"poison-unknown":  fmt.Sprintf(`{"eventId":%q,"type":"OrderTeleported","time":"2026-01-01T00:00:00Z","orderId":1}`, uuid.New()),
		"poison-large":    strings.Repeat("x", 900_000),
		"poison-quantity": fmt.Sprintf(`{"eventId":%q,"type":"ReserveInventory","time":"2026-01-01T00:00:00Z","orderId":1,"sku":"burger","quantity":-5}`, uuid.New()),
	}
	var records []*kgo.Record
	for _, topic := range topics {
		for key, body := range bodies {
			records = append(records, &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(body)})
		}
	}
	envelope := func() contracts.Envelope { return contracts.NewEnvelope(ghost, uuid.Nil, time.Now()) }
	for _, m := range []contracts.Message{
		contracts.ConfirmOrder{Envelope: envelope()},
		contracts.CancelOrder{Envelope: envelope(), Reason: "a drill"},
		contracts.ReleaseInventory{Envelope: envelope()},
		contracts.InventoryReserved{Envelope: envelope(), Reserved: true},
		contracts.OrderConfirmed{Envelope: envelope()},
	} {
		record, err := contracts.Encode(m)
		if err != nil {
			return nil, err
		}
		// On its own topic, for an order that does not exist; and where nobody expects it.
		for _, topic := range topics {
			records = append(records, &kgo.Record{Topic: topic, Key: []byte(record.Key), Value: record.Payload})
		}
	}
	return records, nil
}
