package outbox_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/outbox"
)

func ExampleAppend() {
	placeOrder := func(ctx context.Context, pool *pgxpool.Pool) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			var id int64
			if err := tx.QueryRow(ctx, `insert into orders (item) values ('burger') returning id`).Scan(&id); err != nil {
				return err
			}
			return outbox.Append(ctx, tx, outbox.Message{
				Topic:   "orders.v1",
				Key:     fmt.Sprint(id),
				Type:    "OrderCreated",
				Payload: fmt.Appendf(nil, `{"orderId":%d}`, id),
			})
		})
	}
	_ = placeOrder
}
