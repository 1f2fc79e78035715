package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/internal/setup"
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
// has begun already, and nothing is sent again. Another message for a saga that exists is refused
// with [saga.ErrStartConflict]. A message without an ID is given one.
//
// Start takes two round trips to the database; [Runner.QueueStart] takes none of its own. The
// observer is notified before tx commits.
func (r *Runner) Start(ctx context.Context, tx pgx.Tx, messages ...saga.Message) error {
	for _, m := range messages {
		if !r.registry.Starts(m.Type) {
			return fmt.Errorf("start %d sagas: %w: %s", len(messages), ErrStartsNothing, m.Type)
		}
	}
	return r.Deliver(ctx, tx, messages...)
}

// Deliver hands messages to their sagas inside the caller's transaction, as if they had arrived
// from Kafka, but for the inbox: it is for what an embedding service learns by other ways, such as
// a client who asks for a cancellation. A message for a saga that does not exist is refused with
// [saga.ErrUnknownSaga]; like the other errors of the engine it leaves nothing behind.
//
// Process writes a saga before the rows that its local commands change. A transaction that changes
// such rows as well calls Deliver first, so that the two cannot deadlock.
func (r *Runner) Deliver(ctx context.Context, tx pgx.Tx, messages ...saga.Message) error {
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = m.Key
	}
	var reads pgx.Batch
	loaded := r.store.Load(&reads, ids)
	err := tx.SendBatch(ctx, &reads).Close()
	a := r.apply(loaded)
	if err == nil {
		err = a.deliver(messages)
	}
	if err == nil {
		err = a.write(ctx, &inbox.Tx{Tx: tx})
	}
	if err != nil {
		return fmt.Errorf("deliver %d messages to their sagas: %w", len(messages), setup.Explain(err))
	}
	a.report() //nolint:contextcheck // it only asks whether debug lines are wanted
	return nil
}

// QueueStart is [Runner.Start] for sagas that cannot exist yet, such as those whose ids were
// allocated from a sequence a moment ago: it adds statements to a batch that the caller sends in a
// transaction, and needs no round trip of its own. If one of the sagas does exist after all, the
// batch fails with a violated unique constraint. A definition whose first commands are carried out
// locally needs Start.
func (r *Runner) QueueStart(ctx context.Context, batch *pgx.Batch, messages ...saga.Message) error {
	a := r.apply(make(store.Loaded, len(messages)))
	err := a.deliver(messages)
	if err == nil && len(a.pending) > 0 {
		err = fmt.Errorf("%s is carried out locally: use Start", a.pending[0].Type)
	}
	if err == nil {
		err = a.store.Save(batch, a.changes, a.history)
	}
	if err == nil {
		err = r.writer().Queue(ctx, batch, a.messages...)
	}
	if err != nil {
		return fmt.Errorf("start %d sagas: %w", len(messages), err)
	}
	a.report() //nolint:contextcheck // it only asks whether debug lines are wanted
	return nil
}

// deliver applies messages that did not come from Kafka.
func (a *application) deliver(messages []saga.Message) error {
	now := a.store.Now()
	for _, m := range messages {
		if m.ID == uuid.Nil {
			id, err := uuid.NewV7()
			if err != nil {
				return fmt.Errorf("allocate a message id: %w", err)
			}
			m.ID = id
		}
		if err := a.message(m, nil, now); err != nil {
			return err
		}
	}
	if len(a.unknown) > 0 {
		return fmt.Errorf("%w: %s for %s", saga.ErrUnknownSaga, a.unknown[0].Type, a.unknown[0].Key)
	}
	return nil
}

// write writes what was decided in a transaction that the caller ends.
func (a *application) write(ctx context.Context, tx *inbox.Tx) error {
	messages, err := a.finish(ctx, tx, a.store.Now())
	if err != nil {
		return err
	}
	return a.send(ctx, tx, messages)
}

// writer writes into the outbox.
func (r *Runner) writer() outbox.Writer { return outbox.Writer{Payloads: r.inbox.Payloads} }

// send sends what is queued, and the messages to the outbox with it.
func (r *Runner) send(ctx context.Context, tx *inbox.Tx, messages []outbox.Message) error {
	if err := r.writer().Queue(ctx, &tx.Last, messages...); err != nil {
		return err
	}
	return tx.SendBatch(ctx, &tx.Last).Close()
}
