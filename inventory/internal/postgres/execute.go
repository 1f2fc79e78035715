package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/inventory/stock"
)

const nowSQL = `select now()`

// Execute carries out one command in a transaction of its own, by the statements with which the
// consumer carries out a batch of them: whichever of two commands for an order commits first
// decides. It returns the reply, and since when the order's reservation is as the reply says.
//
// The error is a serialization failure where another transaction was faster; the same again finds
// what it did. After any other error the command may have been carried out (the answer to its
// commit can be lost), and may be sent again all the same.
func (s *Store) Execute(ctx context.Context, c stock.Command) (stock.Reply, time.Time, error) {
	reply, since, err := s.execute(ctx, c)
	if err != nil {
		return stock.Reply{}, time.Time{}, fmt.Errorf("%s for order %d: %w", c.Action, c.OrderID, err)
	}
	return reply, since, nil
}

// execute takes two round trips: begin and read, then write and commit.
func (s *Store) execute(ctx context.Context, c stock.Command) (reply stock.Reply, since time.Time, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return reply, since, fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Release()
	commands, now := []stock.Command{c}, time.Time{}
	reads := &pgx.Batch{}
	reads.BeginTx(pgx.TxOptions{})
	reads.Queue(nowSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	known := s.Load(reads, commands)
	results := conn.SendBatch(ctx, reads)
	err = results.Close()
	tx := results.Tx()
	if err != nil {
		_ = tx.Rollback(ctx) // the error that counts is the first; what cannot be rolled back ends with its connection
		return reply, since, err
	}
	decision := stock.Decide(*known, commands)
	writes := &pgx.Batch{}
	s.Save(writes, decision, now)
	writes.Queue("commit")
	if err := tx.SendBatch(ctx, writes).Close(); err != nil {
		_ = tx.Rollback(ctx)
		return reply, since, err
	}
	reply = decision.Replies[0]
	return reply, known.Since(now)(reply, c.OrderID), nil
}
