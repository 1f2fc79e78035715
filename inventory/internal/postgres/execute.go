package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/inventory/stock"
)

const nowSQL = `select now()`

// Execute carries out commands in one transaction, by the statements with which the consumer
// carries out a batch of them: whichever of two commands for an order commits first decides. It
// returns what came of each, in their order.
//
// The error is a serialization failure where another transaction was faster; the same again finds
// what it did. After any other error the commands may have been carried out (the answer to their
// commit can be lost), and may be sent again all the same.
func (s *Store) Execute(ctx context.Context, commands []stock.Command) ([]stock.Executed, error) {
	executed, err := s.execute(ctx, commands)
	if err != nil {
		return nil, fmt.Errorf("execute %d commands: %w", len(commands), err)
	}
	return executed, nil
}

// execute takes two round trips: begin and read, then write and commit.
func (s *Store) execute(ctx context.Context, commands []stock.Command) ([]stock.Executed, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Release()
	var now time.Time
	reads := &pgx.Batch{}
	reads.BeginTx(pgx.TxOptions{})
	reads.Queue(nowSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	known := s.Load(reads, commands)
	results := conn.SendBatch(ctx, reads)
	err = results.Close()
	tx := results.Tx()
	if err != nil {
		_ = tx.Rollback(ctx) // the error that counts is the first; what cannot be rolled back ends with its connection
		return nil, err
	}
	decision := stock.Decide(*known, commands)
	writes := &pgx.Batch{}
	s.Save(writes, decision, now)
	writes.Queue("commit")
	if err := tx.SendBatch(ctx, writes).Close(); err != nil {
		_ = tx.Rollback(ctx)
		return nil, err
	}
	since, executed := known.Since(now), make([]stock.Executed, len(commands))
	for i, reply := range decision.Replies {
		executed[i] = stock.Executed{Reply: reply, Since: since(reply, commands[i].OrderID)}
	}
	return executed, nil
}
