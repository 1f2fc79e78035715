// Package desk is where trips begin: it stores what a traveller asks for and says so in one
// transaction. What it says starts the saga.
package desk

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"trip.example"

	"waybill.example/sdk/outbox"
)

// Schema is the desk's own table.
//
//go:embed schema.sql
var Schema string

// Place stores a trip and returns its id, the saga's id. Whatever is down, the trip is booked or
// cancelled once it is back.
func Place(ctx context.Context, db *pgxpool.Pool, t trip.Trip) (id string, err error) {
	said, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("place trip: %w", err)
	}
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		var number int64
		if err := tx.QueryRow(ctx, `insert into trips (traveller, wish) values ($1, $2) returning id`, t.Traveller, said).Scan(&number); err != nil {
			return err
		}
		id = strconv.FormatInt(number, 10)
		return outbox.Append(ctx, tx, outbox.Message{Topic: trip.TopicTrips, Key: id, Type: "TripRequested", Payload: said})
	})
	if err != nil {
		return "", fmt.Errorf("place trip: %w", err)
	}
	return id, nil
}
