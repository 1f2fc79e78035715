package saga_test

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// reserveStock is a command as the warehouse reads it.
type reserveStock struct {
	ID       uuid.UUID `json:"id"`
	Type     string    `json:"type"`
	Purchase string    `json:"purchase"`
	Item     string    `json:"item"`
}

// A participant is any consumer that does three things in one transaction:
// remember the message, carry it out once, answer with the command as cause.
func Example_participant() {
	warehouse := func(db *pgxpool.Pool) *inbox.Processor[reserveStock, struct{}] {
		return &inbox.Processor[reserveStock, struct{}]{
			Consumer: "warehouse",
			DB:       db,
			Decode: func(d inbox.Delivery) (uuid.UUID, reserveStock, error) {
				var c reserveStock
				err := json.Unmarshal(d.Value, &c)
				return c.ID, c, err
			},
			Apply: func(ctx context.Context, tx *inbox.Tx, _ *struct{}, batch []inbox.Received[reserveStock]) ([]outbox.Message, error) {
				var replies []outbox.Message
				for _, r := range batch {
					verdict, err := carryOut(ctx, tx, r.Message)
					if err != nil {
						return nil, err // nothing of the batch has happened
					}
					replies = append(replies, answer(r.Message, verdict))
				}
				return replies, nil
			},
		}
	}
	_ = warehouse // hand it to a kafka.Consumer of chassis/kafka
}

// carryOut is keyed by the purchase, not by the command: a saga that asks again
// sends a new command for the same thing. An undo that comes first leaves its
// row as well, so that the deed that comes later is refused.
func carryOut(ctx context.Context, tx pgx.Tx, c reserveStock) (verdict string, err error) {
	if c.Type == "ReleaseStock" {
		_, err = tx.Exec(ctx, `insert into reservations (purchase, item, released) values ($1, $2, true)
			on conflict (purchase) do update set released = true`, c.Purchase, c.Item)
		return "StockReleased", err
	}
	var released bool
	err = tx.QueryRow(ctx, `insert into reservations (purchase, item, released) values ($1, $2, false)
		on conflict (purchase) do update set item = excluded.item returning released`, c.Purchase, c.Item).Scan(&released)
	if released {
		return "StockRejected", err
	}
	return "StockReserved", err
}

func answer(c reserveStock, verdict string) outbox.Message {
	id := uuid.Must(uuid.NewV7())
	body, _ := json.Marshal(map[string]any{ // strings and times always encode
		"id": id, "type": verdict, "purchase": c.Purchase, "causationId": c.ID, "time": time.Now().UTC(),
	})
	return outbox.Message{EventID: id, Topic: "warehouse.v1", Key: c.Purchase, Type: verdict, Payload: body}
}
