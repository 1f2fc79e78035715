package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
	"waybill.example/sdk/tracecontext"
)

const (
	// unclaimed is how long a saga of an unknown definition may be overdue before it is suspended,
	// and after how long a deadline that cannot be acted on is tried again.
	unclaimed = time.Minute
	// wakesMoved is how many of the sagas that are to be looked at are put off together.
	wakesMoved = 1000
	// lookAgain is when a saga whose commands have not left is looked at again.
	lookAgain = 15 * time.Second
	// unsentTrouble is the trouble of such a saga.
	unsentTrouble = "a command has not left this database's outbox: its deadlines wait; see explain"
)

// actOnDeadlines acts on those that have passed by the database's clock, of at most limit sagas.
func (r *Runner) actOnDeadlines(ctx context.Context, limit int) (int, error) {
	next, err := r.store.UntilDue(ctx)
	r.deadlines.due = next
	if err != nil || next > 0 {
		r.lag(0)
		return 0, err
	}
	if err := r.store.MoveWakes(ctx, wakesMoved); err != nil {
		return 0, err
	}
	read := store.ReadAll()
	if r.watermark != nil {
		read = r.watermark.advance(ctx)
		r.lag(r.watermark.lag(read))
	}
	return r.ApplyDue(ctx, read, limit)
}

func (r *Runner) lag(d time.Duration) {
	if r.observer.Lag != nil {
		r.observer.Lag(d)
	}
}

// ApplyDue acts on the deadlines of at most limit sagas that have passed and whose replies have
// been read, in one transaction, and returns how many sagas it took. A saga whose deadline cannot
// be acted on shows as one that needs an operator, and holds up no other. [Runner.Run] calls
// ApplyDue; it is exported for tests with a clock of their own.
func (r *Runner) ApplyDue(ctx context.Context, read store.Read, limit int) (int, error) {
	taken, err := r.takeDue(ctx, read, limit, r.applyTogether)
	if permanent(err) {
		taken, err = r.takeDue(ctx, read, limit, r.applyEach)
	}
	if err != nil {
		return 0, fmt.Errorf("act on deadlines: %w", err)
	}
	return taken, nil
}

// applyDue is a way to act on the deadlines of sagas that are locked in tx. What it returns is
// reported after the commit.
type applyDue func(ctx context.Context, tx pgx.Tx, list []store.DueSaga, now time.Time) ([]*application, error)

// takeDue locks sagas whose deadline has passed, and applies their deadlines.
func (r *Runner) takeDue(ctx context.Context, read store.Read, limit int, apply applyDue) (taken int, err error) {
	var done []*application
	err = pgx.BeginFunc(ctx, r.store.DB, func(tx pgx.Tx) error {
		list, now, err := r.store.Due(ctx, tx, store.DueQuery{
			Read: read, Limit: limit, Unclaimed: unclaimed, UnsentTrouble: unsentTrouble,
		})
		taken = len(list)
		if err != nil || taken == 0 {
			return err
		}
		done, err = apply(ctx, tx, list, now)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, a := range done {
		a.report() //nolint:contextcheck // it only asks whether debug lines are wanted
	}
	return taken, nil
}

// applyTogether applies the deadlines of all sagas with as many statements as those of one.
func (r *Runner) applyTogether(ctx context.Context, tx pgx.Tx, list []store.DueSaga, now time.Time) ([]*application, error) {
	unsent, err := r.unsent(ctx, tx, list, now)
	if err != nil {
		return nil, err
	}
	loaded := make(store.Loaded, len(list))
	for _, d := range list {
		loaded[d.State.ID] = append(loaded[d.State.ID], d.State)
	}
	a := r.apply(loaded)
	var later store.Postponed
	for _, d := range list {
		ref, passed := d.State.Ref(), d.Passed(now)
		missing := slices.DeleteFunc(d.State.Overdue(passed), func(id uuid.UUID) bool { return !unsent[id] })
		in := saga.Due{By: passed, Unsent: missing, Restart: d.Unsent}
		if err := a.input(ref, in, now); err != nil {
			r.postpone(&later, d.State, now, err)
		} else if len(missing) > 0 {
			later.Add(ref, now.Add(lookAgain), unsentTrouble)
		}
	}
	within := &inbox.Tx{Tx: tx}
	messages, err := a.finish(ctx, within, now)
	if err != nil {
		return nil, err
	}
	later.Queue(&within.Last)
	return []*application{a}, a.send(ctx, within, messages)
}

// applyEach applies the deadlines of each saga within a savepoint, and postpones those that fail: a
// command that is carried out here cannot be.
func (r *Runner) applyEach(ctx context.Context, tx pgx.Tx, list []store.DueSaga, now time.Time) (done []*application, err error) {
	var later store.Postponed
	for _, d := range list {
		err := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
			a, err := r.applyTogether(ctx, savepoint, []store.DueSaga{d}, now)
			done = append(done, a...)
			return err
		})
		switch {
		case permanent(err):
			r.postpone(&later, d.State, now, err)
		case err != nil:
			return nil, err
		}
	}
	var last pgx.Batch
	later.Queue(&last)
	return done, tx.SendBatch(ctx, &last).Close()
}

// postpone has a deadline that cannot be acted on tried again later.
func (r *Runner) postpone(later *store.Postponed, s saga.State, now time.Time, err error) {
	r.log.Error("deadline cannot be acted on", "saga", s.Ref().String(), traceID, tracecontext.TraceID(s.Trace), "error", err)
	later.Add(s.Ref(), now.Add(unclaimed), saga.Text("its deadline cannot be acted on: "+err.Error()))
}

// unsent are the commands whose answers are overdue and that have not left the outbox. A
// participant that was never asked does not keep the saga waiting: the relay may be paused, the
// topic may be missing or forbidden, the broker may be down.
func (r *Runner) unsent(ctx context.Context, tx pgx.Tx, list []store.DueSaga, now time.Time) (map[uuid.UUID]bool, error) {
	var keys []string
	var ids []uuid.UUID
	for _, d := range list {
		if overdue := d.State.Overdue(d.Passed(now)); len(overdue) > 0 {
			keys, ids = append(keys, d.State.ID), append(ids, overdue...)
		}
	}
	return r.store.Unsent(ctx, tx, keys, ids)
}
