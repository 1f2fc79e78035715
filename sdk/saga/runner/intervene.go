package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// Intervene applies what an operator wants to one saga, in a transaction of its own:
// [saga.RetryNow], [saga.Cancel], [saga.Force], [saga.MoveDeadline] or [saga.RevokeDeadline]. A ref
// without a definition is the only saga of its id. The errors are [store.ErrNotFound],
// [store.ErrSeveral] and those of the engine.
func (r *Runner) Intervene(ctx context.Context, ref saga.Ref, in saga.Input) error {
	for {
		err := r.intervene(ctx, ref, in, r.store.Now())
		if !conflict(err) || ctx.Err() != nil {
			return err
		}
		// A message was faster: decide again about what it left.
	}
}

// conflict says that a saga was changed by someone else after it was loaded.
func conflict(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "40001" // serialization_failure
}

func (r *Runner) intervene(ctx context.Context, ref saga.Ref, in saga.Input, now time.Time) error {
	var a *application
	err := pgx.BeginFunc(ctx, r.operators, func(tx pgx.Tx) error {
		var reads pgx.Batch
		loaded := r.store.Load(&reads, []string{ref.ID})
		if err := tx.SendBatch(ctx, &reads).Close(); err != nil {
			return err
		}
		state, err := store.Only(loaded[ref.ID], ref)
		if err != nil {
			return err
		}
		a = r.apply(loaded)
		if err := a.input(state.Ref(), in, now); err != nil {
			return err
		}
		return a.write(ctx, &inbox.Tx{Tx: tx})
	})
	if err != nil {
		return fmt.Errorf("intervene: %w", err)
	}
	a.report()
	return nil
}
