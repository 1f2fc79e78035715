package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// SuspendDefinition has all sagas of a version of a definition do nothing until
// [Runner.ResumeDefinition], those that begin meanwhile included: messages for them are held, and
// their deadlines do not pass. It is written to the database; this process follows at once, and
// every other that runs within three seconds: what such a one decides until then is done.
//
// The outcome's Err is [store.ErrNotFound] for a version that was never run.
func (r *Runner) SuspendDefinition(ctx context.Context, name string, version int, by saga.Operator) (Outcome, error) {
	return r.suspendDefinition(ctx, name, version, true, by)
}

// ResumeDefinition lets the sagas of a version go on that [Runner.SuspendDefinition] suspended:
// each first with what was held for it, in order. The time that one was suspended does not count
// for its deadlines. Sagas that an operator suspended one by one stay so.
func (r *Runner) ResumeDefinition(ctx context.Context, name string, version int, by saga.Operator) (Outcome, error) {
	return r.suspendDefinition(ctx, name, version, false, by)
}

func (r *Runner) suspendDefinition(ctx context.Context, name string, version int, suspend bool, by saga.Operator) (Outcome, error) {
	action, outcome := saga.ActResume, Outcome{Result: Done}
	if suspend {
		action = saga.ActSuspend
	}
	err := pgx.BeginFunc(ctx, r.operators, func(tx pgx.Tx) error {
		changed, err := r.store.SuspendDefinition(ctx, tx, name, version, suspend, by)
		switch {
		case errors.Is(err, store.ErrNotFound):
			outcome = refused(saga.State{}, fmt.Errorf("%w: version %d of %s was never run", err, version, name))
			return nil
		case err != nil:
			return err
		case !changed:
			outcome = refused(saga.State{}, fmt.Errorf("%w: it is like that already", saga.ErrNoEffect))
			return nil
		case r.audit == nil:
			return nil
		}
		return r.audit(ctx, tx, Act{Action: action, By: by, Saga: saga.Ref{Definition: name}, Version: version})
	})
	if err == nil {
		err = r.followSuspensions(ctx)
	}
	if err == nil && !suspend {
		_, err = r.store.WakeSuspended(ctx)
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("%s version %d of %s: %w", action, version, name, err)
	}
	return outcome, nil
}

// followSuspensions learns which versions are suspended.
func (r *Runner) followSuspensions(ctx context.Context) error {
	list, err := r.store.Suspensions(ctx)
	if err == nil {
		r.registry.Suspend(list...)
	}
	return err
}
