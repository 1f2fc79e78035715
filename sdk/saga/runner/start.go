package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// ErrStartsNothing says that a message given to Start is not one that starts a saga.
var ErrStartsNothing = errors.New("the message starts no saga")

// Start begins a saga for each message inside the caller's transaction: the saga and its first
// commands exist once tx commits, and never if it does not. The messages are of the type that the
// definition names with StartOn, and none is sent: Start is what would happen if they arrived. A
// message's Key is the saga's id.
//
// A message with an ID can be given again, for instance when a client repeats its request: the saga
// has begun already, and Start does nothing more. Another message for a saga that exists is refused
// with [saga.ErrStartConflict]. A message without an ID is given one.
//
// Start takes two round trips to the database; [Runner.QueueStart] takes none of its own. The observer
// is notified before tx commits.
func (r *Runner) Start(ctx context.Context, tx pgx.Tx, messages ...saga.Message) error {
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = m.Key
	}
	var reads pgx.Batch
	loaded := r.store.Load(&reads, ids)
	if err := tx.SendBatch(ctx, &reads).Close(); err != nil {
		return fmt.Errorf("start %d sagas: %w", len(messages), err)
	}
	within := &inbox.Tx{Tx: tx}
	a, err := r.start(loaded, messages)
	if err == nil {
		err = a.write(ctx, within)
	}
	if err != nil {
		return fmt.Errorf("start %d sagas: %w", len(messages), err)
	}
	a.report()
	return nil
}

// QueueStart is [Runner.Start] for sagas that cannot exist yet, such as those whose ids were drawn
// from a sequence a moment ago: it adds statements to a batch that the caller sends in a transaction,
// and needs no round trip of its own. If one of the sagas does exist after all, the batch fails with a
// violated unique constraint. A definition whose first commands are carried out locally needs Start.
func (r *Runner) QueueStart(batch *pgx.Batch, messages ...saga.Message) error {
	a, err := r.start(make(store.Loaded, len(messages)), messages)
	if err != nil {
		return fmt.Errorf("start %d sagas: %w", len(messages), err)
	}
	if len(a.pending) > 0 {
		return fmt.Errorf("start %d sagas: %s is carried out locally: use Start", len(messages), a.pending[0].Type)
	}
	if err := a.store.Save(batch, a.changes, a.history); err != nil {
		return fmt.Errorf("start %d sagas: %w", len(messages), err)
	}
	if err := outbox.Queue(batch, a.messages...); err != nil {
		return fmt.Errorf("start %d sagas: %w", len(messages), err)
	}
	a.report()
	return nil
}

func (r *Runner) start(loaded store.Loaded, messages []saga.Message) (*application, error) {
	a, now := r.apply(loaded), r.store.Now()
	for _, m := range messages {
		if !r.registry.Starts(m.Type) {
			return nil, fmt.Errorf("%w: %s", ErrStartsNothing, m.Type)
		}
		if m.ID == uuid.Nil {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, fmt.Errorf("allocate a message id: %w", err)
			}
			m.ID = id
		}
		if err := a.message(m, nil, now); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// write writes what was decided in a transaction that the caller ends.
func (a *application) write(ctx context.Context, tx *inbox.Tx) error {
	messages, err := a.finish(ctx, tx, a.store.Now())
	if err != nil {
		return err
	}
	return send(ctx, tx, messages)
}

// send sends what is queued, and the messages to the outbox with it.
func send(ctx context.Context, tx *inbox.Tx, messages []outbox.Message) error {
	if err := outbox.Queue(&tx.Last, messages...); err != nil {
		return err
	}
	return tx.SendBatch(ctx, &tx.Last).Close()
}
