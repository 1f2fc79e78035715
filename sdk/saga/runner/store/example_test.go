package store_test

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// Sagas are loaded and saved by statements that the caller sends with its own.
func Example() {
	load := func(ctx context.Context, db *pgxpool.Pool, registry *saga.Registry) (saga.State, error) {
		var batch pgx.Batch
		loaded := store.New(db, registry).Load(&batch, []string{"17"})
		if err := db.SendBatch(ctx, &batch).Close(); err != nil {
			return saga.State{}, err
		}
		return store.Only(loaded["17"], saga.Ref{Definition: "trip", ID: "17"})
	}
	_ = load
}
