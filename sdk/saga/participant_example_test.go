package saga_test

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/participant"
)

// reserveStock is a command as the warehouse reads it.
type reserveStock struct {
	Item string `json:"item"`
}

type stockReserved struct {
	Shelf string `json:"shelf"`
}

// The warehouse is a participant: a command, what it answers, and what takes it back.
func Example_participant() {
	warehouse := func(db *pgxpool.Pool) (*participant.Participant, error) {
		return participant.New(
			participant.Config{Consumer: "warehouse", DB: db, Topic: "warehouse.v1"},
			participant.Step{
				Do: participant.Handle("ReserveStock", reserve), Done: "StockReserved", Refused: "StockRejected",
				Undo: participant.HandleUndo("ReleaseStock", release), Undone: "StockReleased",
			})
	}
	_ = warehouse // its Process takes batches of any Kafka client; chassis/kafka has a consumer that calls it
}

// reserve changes the warehouse's own tables in the transaction that it is given, and returns the
// body of the answer, or a refusal. What it did before it refuses is rolled back.
func reserve(ctx context.Context, tx pgx.Tx, c participant.Command[reserveStock]) (stockReserved, error) {
	var reply stockReserved
	err := tx.QueryRow(ctx, `update stock set purchase = $1
		where id = (select id from stock where item = $2 and purchase is null limit 1 for update skip locked)
		returning shelf`, c.Saga, c.Body.Item).Scan(&reply.Shelf)
	if errors.Is(err, pgx.ErrNoRows) {
		return reply, participant.Refusef("no %s left", c.Body.Item)
	}
	return reply, err // an error that is no refusal is not answered: the command comes again
}

// release is called for a saga that has something, and once.
func release(ctx context.Context, tx pgx.Tx, c participant.Command[struct{}]) error {
	_, err := tx.Exec(ctx, `update stock set purchase = null where purchase = $1`, c.Saga)
	return err
}
