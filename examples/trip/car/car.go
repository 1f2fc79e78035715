// Package car rents cars. It has the same commands and answers as the participant in Python
// (examples/python-participant), which can take its place.
package car

import (
	"context"
	_ "embed"
	"errors"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/participant"
)

// Schema is the car rental's own table.
//
//go:embed schema.sql
var Schema string

// Step is what the car rental does for a saga.
func Step() participant.Step {
	return participant.Step{
		Do: participant.Handle("RentCar", rent), Done: "CarRented", Refused: "CarRefused",
		Undo: participant.HandleUndo("ReturnCar", giveBack), Undone: "CarReturned",
	}
}

type rentCar struct{ Class string }

type carRented struct {
	Plate string `json:"plate"`
}

const rentSQL = `
update cars set saga = $1
where plate = (select plate from cars where class = $2 and saga is null order by plate limit 1 for update skip locked)
returning plate`

func rent(ctx context.Context, tx pgx.Tx, c participant.Command[rentCar]) (carRented, error) {
	var reply carRented
	err := tx.QueryRow(ctx, rentSQL, c.Saga, c.Body.Class).Scan(&reply.Plate)
	if errors.Is(err, pgx.ErrNoRows) {
		return reply, participant.Refusef("no %s car is free", c.Body.Class)
	}
	return reply, err
}

func giveBack(ctx context.Context, tx pgx.Tx, c participant.Command[struct{}]) error {
	_, err := tx.Exec(ctx, `update cars set saga = null where saga = $1`, c.Saga)
	return err
}
