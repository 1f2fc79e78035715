package drill

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"waybill.example/contracts"
)

// ghost is an order that does not exist.
const ghost = 9_000_000_000_000

var poison = Drill{
	Name:    "poison",
	Promise: "messages that nobody can use are set aside with the reason, and hold nothing up",
	For:     8 * time.Second, Brief: 3 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
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
func (s *Environment) expectPoison() {
	mine := func(key string) bool {
		return strings.HasPrefix(key, "poison") || key == fmt.Sprint(ghost)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A dead letter keeps no key that is too long.
	s.audit.Expected = func(key, _ string) bool { return key == "" || mine(key) }
	s.audit.Foreign = func(_ uuid.UUID, key string) bool { return mine(key) }
}

// longKey is longer than an entry of an index can be, and cannot be compressed.
func (s *Environment) longKey() string {
	key := []byte("poison-key-")
	for len(key) < 8000 {
		key = append(key, 'a'+byte(s.Random.IntN(26)))
	}
	return string(key)
}

// poisonous makes one message of each kind for each topic.
func (s *Environment) poisonous() ([]*kgo.Record, error) {
	bodies := map[string]string{
		"poison-text":     "not JSON",
		"poison-empty":    "",
		"poison-bytes":    "\x00\xff\xfe",
		"poison-array":    "[1, 2, 3]",
		"poison-fields":   `{"type":"OrderCreated","eventId":"no uuid"}`,
		"poison-unknown":  fmt.Sprintf(`{"eventId":%q,"type":"OrderTeleported","time":"2026-01-01T00:00:00Z","orderId":1}`, uuid.New()),
		"poison-large":    strings.Repeat("x", 900_000),
		"poison-limit":    strings.Repeat("x", 999_000), // a dead letter with all of it would be too large to send
		s.longKey():       "not JSON",
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
