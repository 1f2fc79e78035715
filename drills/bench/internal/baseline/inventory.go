package baseline

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/chassis/postgres"
	"waybill.example/contracts"
)

type inventory struct {
	pool      *pgxpool.Pool
	publisher *publisher
}

// Inventory is the process that sets items aside.
func Inventory(ctx context.Context, cfg Config, log *slog.Logger) error {
	pool, err := postgres.Open(ctx, cfg.Postgres, "baseline-inventory")
	if err != nil {
		return err
	}
	defer pool.Close()
	i := &inventory{pool: pool}
	if i.publisher, err = newPublisher(cfg.Kafka, "baseline-inventory", log); err != nil {
		return err
	}
	defer i.publisher.client.Close()
	return consume(ctx, cfg.Kafka, "baseline-inventory", TopicOrders, i.reserve)
}

const (
	takeSQL    = `update stock set on_hand = on_hand - $2 where sku = $1 and on_hand >= $2`
	reserveSQL = `insert into reservations (order_id, sku, quantity) values ($1, $2, $3)`
)

func (i *inventory) reserve(ctx context.Context, value []byte) error {
	message, err := contracts.Decode(contracts.TopicOrders, value, noHeaders)
	if err != nil {
		return err
	}
	order, ok := message.(contracts.OrderCreated)
	if !ok {
		return fmt.Errorf("%s is no order", message.Meta().Type)
	}
	err = pgx.BeginFunc(ctx, i.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, takeSQL, order.SKU, order.Quantity); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, reserveSQL, order.OrderID, order.SKU, order.Quantity)
		return err
	})
	if err != nil {
		return fmt.Errorf("reserve for an order: %w", err)
	}
	answer, err := contracts.Encode(contracts.InventoryReserved{
		Envelope: contracts.NewEnvelope(order.OrderID, order.EventID, time.Now()), Reserved: true,
	})
	if err != nil {
		return err
	}
	return i.publisher.publish(TopicInventory, answer.Key, answer.Payload)
}
