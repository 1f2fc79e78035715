package participant_test

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/participant"
)

type reserveRoom struct {
	Guest  string `json:"guest"`
	Nights int    `json:"nights"`
}

type roomReserved struct {
	Room int `json:"room"`
}

// A hotel: one step, its undo, and nothing about messages in the handlers.
func Example() {
	var pool *pgxpool.Pool // the hotel's own database

	reserve := func(ctx context.Context, tx pgx.Tx, c participant.Command[reserveRoom]) (roomReserved, error) {
		const take = `update rooms set trip = $1, guest = $2
			where number = (select number from rooms where trip is null limit 1 for update skip locked)
			returning number`
		var reply roomReserved
		err := tx.QueryRow(ctx, take, c.Saga, c.Body.Guest).Scan(&reply.Room)
		if errors.Is(err, pgx.ErrNoRows) {
			return reply, participant.Refuse("the hotel is full")
		}
		return reply, err
	}
	release := func(ctx context.Context, tx pgx.Tx, c participant.Command[reserveRoom]) error {
		_, err := tx.Exec(ctx, `update rooms set trip = null, guest = null where trip = $1`, c.Saga)
		return err
	}

	hotel, err := participant.New(
		participant.Config{Consumer: "hotel", DB: pool, Topic: "hotel.v1"},
		participant.Step{
			Do: participant.Handle("ReserveRoom", reserve), Done: "RoomReserved", Refused: "RoomRefused",
			Undo: participant.HandleUndo("ReleaseRoom", release), Undone: "RoomReleased",
		})
	_, _ = hotel, err // hand hotel to a Kafka consumer, which calls Process
}
