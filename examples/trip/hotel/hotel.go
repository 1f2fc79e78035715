// Package hotel has rooms, and gives them to trips.
package hotel

import (
	"context"
	_ "embed"
	"errors"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/participant"
)

// Schema is the hotel's own table.
//
//go:embed schema.sql
var Schema string

// Step is what the hotel does for a saga.
func Step() participant.Step {
	return participant.Step{
		Do: participant.Handle("ReserveRoom", reserve), Done: "RoomReserved", Refused: "RoomRefused",
		Undo: participant.HandleUndo("ReleaseRoom", release), Undone: "RoomReleased",
	}
}

type reserveRoom struct {
	Traveller string
	City      string
	Nights    int
}

type roomReserved struct {
	Room int `json:"room"`
}

const reserveSQL = `
update rooms set trip = $1, guest = $2
where number = (select number from rooms where city = $3 and trip is null order by number limit 1 for update skip locked)
returning number`

func reserve(ctx context.Context, tx pgx.Tx, c participant.Command[reserveRoom]) (roomReserved, error) {
	var reply roomReserved
	err := tx.QueryRow(ctx, reserveSQL, c.Saga, c.Body.Traveller, c.Body.City).Scan(&reply.Room)
	if errors.Is(err, pgx.ErrNoRows) {
		return reply, participant.Refusef("no room is free in %s", c.Body.City)
	}
	return reply, err
}

func release(ctx context.Context, tx pgx.Tx, c participant.Command[struct{}]) error {
	_, err := tx.Exec(ctx, `update rooms set trip = null, guest = null where trip = $1`, c.Saga)
	return err
}
