// Package flight sells seats.
package flight

import (
	"context"
	_ "embed"
	"errors"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/participant"
)

// Schema is the airline's own tables.
//
//go:embed schema.sql
var Schema string

// Step is what the airline does for a saga.
func Step() participant.Step {
	return participant.Step{
		Do: participant.Handle("BookSeat", book), Done: "SeatBooked", Refused: "SeatRefused",
		Undo: participant.HandleUndo("CancelSeat", cancel), Undone: "SeatCancelled",
	}
}

type bookSeat struct {
	Traveller string
	City      string
}

type seatBooked struct {
	Flight string `json:"flight"`
}

const bookSQL = `
with flight as (
    update flights set free = free - 1
    where number = (select number from flights where destination = $3 and free > 0 order by number limit 1 for update)
    returning number)
insert into bookings (trip, flight, traveller) select $1, number, $2 from flight
returning flight`

func book(ctx context.Context, tx pgx.Tx, c participant.Command[bookSeat]) (seatBooked, error) {
	var reply seatBooked
	err := tx.QueryRow(ctx, bookSQL, c.Saga, c.Body.Traveller, c.Body.City).Scan(&reply.Flight)
	if errors.Is(err, pgx.ErrNoRows) {
		return reply, participant.Refusef("no seat is left on a flight to %s", c.Body.City)
	}
	return reply, err
}

const cancelSQL = `
with gone as (delete from bookings where trip = $1 returning flight)
update flights set free = free + 1 from gone where number = gone.flight`

func cancel(ctx context.Context, tx pgx.Tx, c participant.Command[struct{}]) error {
	_, err := tx.Exec(ctx, cancelSQL, c.Saga)
	return err
}
