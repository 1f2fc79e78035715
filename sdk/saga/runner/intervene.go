package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/internal/setup"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// Intervention is what an operator wants of one saga.
type Intervention struct {
	// Saga is the one it is for. A ref without a definition is the only saga of its id.
	Saga saga.Ref
	// Do is what is to be done, by whom and why; [saga.Request.For] makes it of data. Its Operator
	// should have an ID: by it the transition is found again.
	Do saga.Intervention
}

// Result says in a word what came of an intervention.
type Result string

// What can come of an intervention.
const (
	Done     Result = "done"      // it is committed
	NoEffect Result = "no_effect" // the saga was like that already; nothing was written
	Refused  Result = "refused"   // it cannot be done to this saga, as it is now; nothing was written
)

// Outcome is what came of an intervention.
type Outcome struct {
	Result Result
	// Because says in words why there was no effect, or why it was refused.
	Because string
	// Err is the reason as an error, to be tested with errors.Is: one of the engine's, such as
	// [saga.ErrMoved] and [saga.ErrEnded], or [store.ErrNotFound] or [store.ErrSeveral]. Nil where
	// it was done.
	Err error
	// Before and After are the saga; they are equal unless it was done.
	Before, After saga.State
	// Transitions are those that it led to. Where messages had been held for the saga there can be
	// several.
	Transitions []saga.Transition
}

// Act is an operator's change, as [Config.Audit] is given it.
type Act struct {
	Action saga.Action
	By     saga.Operator
	// Saga is the one that was changed; without an ID, all of a version of a definition.
	Saga    saga.Ref
	Version int // of the definition
	// Before and After are the saga; zero where all of a version were suspended or resumed.
	Before, After saga.State
	Transitions   []saga.Transition
}

// Intervene applies what an operator wants to one saga, in a transaction of its own, and returns
// what came of it. It is safe to call for many sagas at once: each intervention takes two round
// trips. The error is the database's; what it was asked to do has then not happened, unless the
// connection broke during the commit, and can be asked for again: with [saga.Operator.Seen] set it
// is not done twice.
func (r *Runner) Intervene(ctx context.Context, in Intervention) (Outcome, error) {
	for {
		outcome, err := r.intervene(ctx, in, r.store.Now())
		if !conflict(err) || ctx.Err() != nil {
			return outcome, err
		}
		// A message was faster: decide again about what it left.
	}
}

// conflict says that a saga was changed by someone else after it was loaded.
func conflict(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "40001" // serialization_failure
}

func (r *Runner) intervene(ctx context.Context, in Intervention, now time.Time) (outcome Outcome, err error) {
	var committed func()
	err = pgx.BeginFunc(ctx, r.operators, func(tx pgx.Tx) (err error) {
		outcome, committed, err = r.interveneIn(ctx, tx, in, now)
		return err
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("intervene: %w", setup.Explain(err))
	}
	committed()
	return outcome, nil
}

// InterveneIn is [Runner.Intervene] in a transaction of the caller, in which other things can
// happen with it. The caller calls committed once the transaction is committed. Where the saga was
// changed by a message in the meantime, the error is a serialization failure (SQLSTATE 40001): roll
// back, and begin again.
func (r *Runner) InterveneIn(ctx context.Context, tx pgx.Tx, in Intervention) (o Outcome, committed func(), err error) {
	o, committed, err = r.interveneIn(ctx, tx, in, r.store.Now())
	if err != nil {
		return Outcome{}, nil, fmt.Errorf("intervene: %w", setup.Explain(err))
	}
	return o, committed, nil
}

func (r *Runner) interveneIn(ctx context.Context, tx pgx.Tx, in Intervention, now time.Time) (o Outcome, committed func(), err error) {
	nothing := func() {}
	loaded, state, err := r.loadOne(ctx, tx, in.Saga)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrSeveral) {
		return refused(state, err), nothing, nil
	}
	if err != nil {
		return Outcome{}, nil, err
	}
	a := r.apply(loaded)
	if err := a.input(state.Ref(), in.Do, now); err != nil {
		return refused(state, err), nothing, nil
	}
	if err := a.write(ctx, &inbox.Tx{Tx: tx}); err != nil {
		return Outcome{}, nil, err
	}
	o = a.outcome(state)
	return o, a.report, r.auditOne(ctx, tx, in, o)
}

// loadOne reads the saga that a ref means, and those that share its id.
func (r *Runner) loadOne(ctx context.Context, tx pgx.Tx, ref saga.Ref) (store.Loaded, saga.State, error) {
	var reads pgx.Batch
	loaded := r.store.Load(&reads, []string{ref.ID})
	if err := tx.SendBatch(ctx, &reads).Close(); err != nil {
		return nil, saga.State{}, err
	}
	state, err := store.Only(loaded[ref.ID], ref)
	return loaded, state, err
}

// refused is the outcome of an intervention that changes nothing.
func refused(s saga.State, err error) Outcome {
	result := Refused
	if errors.Is(err, saga.ErrNoEffect) {
		result = NoEffect
	}
	because := err
	if inner, ok := errors.AsType[*applyError](err); ok {
		because = inner.err // which saga it is, the caller knows
	}
	return Outcome{Result: result, Because: because.Error(), Err: err, Before: s, After: s}
}

// outcome is what was decided about a saga.
func (a *application) outcome(before saga.State) Outcome {
	o := Outcome{Result: Done, Before: before, After: a.state(before.Ref())}
	for _, h := range a.history {
		if h.Ref == before.Ref() {
			o.Transitions = append(o.Transitions, h.Transition)
		}
	}
	return o
}

func (r *Runner) auditOne(ctx context.Context, tx pgx.Tx, in Intervention, o Outcome) error {
	if r.audit == nil {
		return nil
	}
	return r.audit(ctx, tx, Act{
		Action: saga.ActionOf(in.Do), By: in.Do.Intervener(), Saga: o.After.Ref(), Version: o.After.Version,
		Before: o.Before, After: o.After, Transitions: o.Transitions,
	})
}
