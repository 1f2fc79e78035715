package inbox_test

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// A consumer of payments. It reads and locks the accounts of a whole batch in the statement that
// begins the transaction, decides in memory, and writes with the commit: two round trips, however
// many messages.
func ExampleProcessor() {
	type payment struct{ account, cents int64 }
	type accounts map[int64]int64 // the balance of each

	var pool *pgxpool.Pool // the service's own database
	p := inbox.Processor[payment, accounts]{
		Consumer: "accounts",
		DB:       pool,
		Decode: func(d inbox.Delivery) (uuid.UUID, payment, error) {
			var m payment
			if _, err := fmt.Sscanf(string(d.Value), "%d %d", &m.account, &m.cents); err != nil {
				return uuid.Nil, m, err // a dead letter
			}
			id, err := uuid.Parse(d.Header("ce_id"))
			return id, m, err
		},
		Load: func(reads *pgx.Batch, batch []inbox.Received[payment]) *accounts {
			ids, balances := make([]int64, len(batch)), make(accounts)
			for i, m := range batch {
				ids[i] = m.Message.account
			}
			const lock = `select id, cents from account where id = any($1) order by id for no key update`
			reads.Queue(lock, ids).Query(func(rows pgx.Rows) error {
				var id, cents int64
				_, err := pgx.ForEachRow(rows, []any{&id, &cents}, func() error {
					balances[id] = cents
					return nil
				})
				return err
			})
			return &balances
		},
		Apply: func(_ context.Context, tx *inbox.Tx, balances *accounts, batch []inbox.Received[payment]) ([]outbox.Message, error) {
			var answers []outbox.Message
			for i, m := range batch {
				id := m.Message.account
				balance, known := (*balances)[id]
				if !known {
					tx.Reject(i, fmt.Errorf("no account %d", id)) // a dead letter; the others take effect
					continue
				}
				(*balances)[id] = balance + m.Message.cents
				tx.Last.Queue(`update account set cents = $2 where id = $1`, id, balance+m.Message.cents)
				answers = append(answers, outbox.Message{
					Topic: "accounts.v1", Key: strconv.FormatInt(id, 10), Type: "PaymentBooked",
					Payload: strconv.AppendInt(nil, balance+m.Message.cents, 10),
				})
			}
			tx.AfterCommit(func() { fmt.Println(len(answers), "payments booked") })
			return answers, nil
		},
	}
	_ = p.Process // called with each batch that Kafka delivers
}
